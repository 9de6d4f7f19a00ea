"""CommuniGate Pro 5 and 6: `POP-000012([ADDRESS]) 'USER' connected from [ADDRESS:PORT]`, once the user is known.

Both addresses have to be the same: the first stands before anything that the client has said.
"""

from submission.core.poplog.format import IP, USER, Format, login

COMMUNIGATE = Format(
    name="communigate",
    programs={b"": None},
    lines=(
        login(
            rb"[0-9:]{8}\.[0-9]{3} [0-9] (?P<proto>POP|IMAP)-[0-9]{1,10}\(\[",
            IP,
            rb"\]\) '",
            USER,
            rb"' connected from \[(?P=ip):[0-9]{1,5}\]",
        ),
    ),
)
