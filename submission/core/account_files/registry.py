"""The formats by name, and a guess at which one a text is in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from submission.core.account_files import Reader, exim, htpasswd, passwd_file, spreadsheet
from submission.core.account_files import lines as lines_of

READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "exim": exim.read,
        "passwd-file": passwd_file.read,
        "htpasswd": htpasswd.read,
        "csv": spreadsheet.read,
    }
)

_HASH = r"\$(?:apr1|2[abxy]|[156])\$|\{SHA\}"
_FORMS = (
    ("csv", re.compile(r'\ufeff?"?[A-Za-z0-9_ -]+"?(?:,"?[A-Za-z0-9_ -]*"?)+')),
    ("passwd-file", re.compile(r"[^:\s]+:(?:[^:]*:){3,}[^:]*.*|[^:\s]+:\{(?!SHA\})[A-Za-z0-9._-]+\}.*")),
    ("htpasswd", re.compile(rf"[^:\s]+:(?:{_HASH})[^:]*")),
    ("exim", re.compile(r"[^:\s{$]+[ \t]+\S.*")),
)


def guess(text: str) -> str | None:
    """The format of a text by the first line that says something; None where that could be several or none."""
    for _, line in lines_of(text):
        fitting = [name for name, form in _FORMS if form.fullmatch(line)]
        if "csv" in fitting and "user" in line.lower():
            return "csv"
        fitting = [name for name in fitting if name != "csv"]
        return fitting[0] if len(fitting) == 1 else None
    return None
