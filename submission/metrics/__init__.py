"""What is counted and how things stand, for Prometheus, for a health check and for people; on a port of its own.

    counters.py     a piece of memory that all processes count in
    counting.py     what is counted: the families, and which event of the log counts where
    history.py      the last day, minute by minute
    health.py       whether the relay answers, the store can be read, the certificates are good
    status.py       how things stand, as JSON has it
    exposition.py   the same numbers as Prometheus wants them
    http.py         an HTTP server with bounds
    site.py         which path gives what, and who may have it
    server.py       all of it together, for whoever runs the event loop

What is counted is what is logged: a process that counts subscribes to its own log (logs.py), and no code that serves
clients knows of it. So the log and the counters can't tell different stories.
"""
