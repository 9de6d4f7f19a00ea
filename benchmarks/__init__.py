"""What a message costs: submission and its peers, one after the other, in front of the same relay.

    make bench                              everything, three rounds; a quarter of an hour
    make bench ARGS="--quick"               one short round, to see where things stand; two minutes
    make bench ARGS="--only ours,dovecot-tuned"
    make bench ARGS="--document"            the figures also become the table in docs/performance.md

Time on a shared machine says little, CPU time says much: what is counted is what the kernel charges to a program, its
children and those it has waited for, while a number of messages goes through it, divided by that number. The clients
(load.c) and the relay (sink.c) are of C, so that they take as little as they can of the machine, and are not counted.

accounting.py   CPU time and memory of a family of processes
programs.py     starting programs, and stopping them whatever happens; building the two in C
traffic.py      the clients and the relay
measures.py     what is measured, and how
peers/          what is measured: a file a program, each with the configuration that it gets
turns.py        rounds, and a peer's turn in each
report.py       the figures as a table, as JSON and in docs/performance.md

logins.py is one by itself, about the time of failed logins (make bench-logins).
"""
