"""Apache's htpasswd: `user:hash`, where the hash is bcrypt, apr1, {SHA}, or crypt(3)'s.

It may hold passwords in the clear as well (htpasswd -p), and nothing tells them from a hash of crypt(3)'s oldest kind.
So what begins with neither `$` nor `{` is taken only if it has that kind's form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from submission.core.account_files import Account, Found, Refusal, lines
from submission.core.account_files.schemes import read_value

_DES = re.compile(r"[./0-9A-Za-z]{13}")


def read(text: str) -> Iterator[Found]:
    """The accounts of a file."""
    for place, line in lines(text):
        name, colon, hashed = line.partition(":")
        if not colon or not name:
            yield Refusal(place, "is not `user:hash`")
        elif hashed.startswith("{"):
            yield read_value(place, name, hashed)
        elif hashed.startswith("$") or _DES.fullmatch(hashed):
            yield Account(place, name, hashed=hashed)
        else:
            yield Refusal(place, "may hold a password in the clear, which is not taken from an htpasswd file", name)
