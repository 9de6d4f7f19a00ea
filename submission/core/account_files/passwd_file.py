"""Dovecot's passwd-file: `user:{SCHEME}password:uid:gid:gecos:home:shell:extra fields`, everything but two optional.

A user may have a realm, `user@domain`. Of the extra fields only `nologin` and `nopassword` concern us: they let nobody
log in by a password. A password without a scheme is in crypt(3)'s notation, which is passwd-file's default.
"""

from __future__ import annotations

from collections.abc import Iterator

from submission.core.account_files import Found, Refusal, lines
from submission.core.account_files.schemes import read_value

_EXTRA = 7
_LOCKED = ("*", "!", "x")


def read(text: str) -> Iterator[Found]:
    """The accounts of a file."""
    for place, line in lines(text):
        fields = line.split(":")
        if len(fields) < 2 or not fields[0]:
            yield Refusal(place, "is not `user:password`")
            continue
        name, password = fields[:2]
        extra = ":".join(fields[_EXTRA:]).split()
        if any(field.partition("=")[0] in ("nologin", "nopassword") for field in extra):
            yield Refusal(place, "lets nobody log in by a password", name)
        elif password.startswith(_LOCKED):
            yield Refusal(place, "is locked, or has its password elsewhere", name)
        else:
            yield read_value(place, name, password)
