"""cucipop: `USER ADDRESS 0, 0 (0), 3 (14890)` at a session's end is all that tells of its login.

The user's name begins the line, and other lines hold what a client sent (`Invalid command ...`) up to their end. A name
with a blank in it is therefore none.
"""

import re

from submission.core.poplog.format import IP, Format

_COUNT = rb"[0-9]{1,10}"

CUCIPOP = Format(
    name="cucipop",
    programs={b"cucipop": "pop3"},
    logins=(
        re.compile(
            rb"(?P<user>\S{1,255}) "
            + IP
            + rb" "
            + _COUNT
            + rb", "
            + _COUNT
            + rb" \("
            + _COUNT
            + rb"\), "
            + _COUNT
            + rb" \("
            + _COUNT
            + rb"\)"
        ),
    ),
    becomes_user=True,
    caution="written at the end of a session, when the address may be another client already",
)
