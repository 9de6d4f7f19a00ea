"""tpop3d: ``fork_child: [5]USER(ADDRESS): began session for `USER' with pam; child PID is 31``.

The name is there twice, raw, and both have to be the same; the address follows the first. Failures begin with
`connection_do:`; the line that authentication itself writes has no address.
"""

from submission.core.poplog.format import IP, USER, Format, login

TPOP3D = Format(
    name="tpop3d",
    programs={b"tpop3d": "pop3"},
    logins=(
        login(
            rb"fork_child: \[[0-9]{1,6}\]",
            USER,
            rb"\(",
            IP,
            rb"\): began session for `(?P=user)'",
            rb" with [a-z0-9_-]{1,32}; child PID is [0-9]{1,10}",
        ),
    ),
    becomes_user=True,
)
