"""hMailServer's log: columns in quotes, apart by tabs: service, thread, session, time, address, text.

A login is three lines of one session: `RECEIVED: USER U`, `RECEIVED: PASS ***` and the answer to it, whose words
nothing else is answered with. The text is the last column, and what was received is marked so.

Logger.cpp writes what was received raw but for CRLF, and a command ends at CRLF alone: a line feed in it begins a line
of the log. Text can't tell such a line from another.
"""

from submission.core.poplog.format import IP, Event, Format, Step, login

_COLUMNS = rb'"POP3D"\t[0-9]{1,10}\t(?P<session>[0-9]{1,10})\t"[0-9-]{10} [0-9:.]{8,12}"\t"' + IP + rb'"\t'

HMAILSERVER = Format(
    name="hmailserver",
    programs={b"": "pop3"},
    steps=(
        Step(Event.OPEN, login(_COLUMNS, rb'"RECEIVED: (?i:USER) (?P<user>[^"\t]{1,255})"')),
        Step(Event.LOGIN, login(_COLUMNS, rb'"SENT: \+OK Mailbox locked and ready"')),
        Step(Event.CLOSE, login(_COLUMNS, rb'"(?:SENT: -ERR|RECEIVED: (?i:QUIT)).*"')),
    ),
    caution="anybody who reaches its POP3 port can write a line into its log, by a line feed in a command",
)
