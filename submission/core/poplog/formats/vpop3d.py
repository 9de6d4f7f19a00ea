"""vpop3d: `(USER,ADDRESS) Authenticated`."""

from submission.core.poplog.format import IP, USER, Format, login

VPOP3D = Format(
    name="vpop3d",
    programs={b"vpop3d": "pop3"},
    logins=(login(rb"\(", USER, rb",", IP, rb"\) Authenticated"),),
)
