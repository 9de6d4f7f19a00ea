"""teapop, to 0.3.8: `Successful login for USER [OURS] from NAME [ADDRESS]`; earlier without `[OURS] from NAME`.

The first bracket holds the server's own address, the last the client's. Failures begin with `Failed login for`. At the
end of a session `USER [ADDRESS] R0(0) D0(0) L1(84)` begins with the user's name and ends otherwise.
"""

from submission.core.poplog.format import HOST, IP, USER, Format, login

TEAPOP = Format(
    name="teapop",
    programs={b"teapop": "pop3"},
    logins=(
        login(rb"Successful login for ", USER, rb" \[[0-9A-Fa-f.:]{2,45}\] from (?:", HOST, rb" )?\[", IP, rb"\]"),
        login(rb"Successful login for (?P<user>[^\[\]]+) \[", IP, rb"\]"),
    ),
    becomes_user=True,
)
