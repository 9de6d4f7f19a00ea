"""Exim's auth_logins: `login[@domain] password`, blanks between, `#` before a comment.

Its two switches are rules of ours: `check_sender_auth` (who logs in sends from a domain of this host's) is
policy.sender = "realm", `check_sender_auth_exact` (with the login's own name) is "own".
"""

from __future__ import annotations

from collections.abc import Iterator

from submission.core.account_files import Account, Found, Refusal, lines


def read(text: str) -> Iterator[Found]:
    """The accounts of a file."""
    for place, line in lines(text):
        words = line.split(None, 1)
        if len(words) != 2:
            yield Refusal(place, "is not `login password`")
        else:
            yield Account(place, words[0], password=words[1].rstrip())
