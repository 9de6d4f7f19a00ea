"""Comma-separated values (RFC 4180), with a header: `user`, and `password` or `hash`; `realm` and `disabled` if wanted.

A hash may have Dovecot's scheme in front. Other columns are not looked at.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from submission.core.account_files import MAX_LINE, Account, Found, Refusal
from submission.core.account_files.schemes import read_value

_TRUE, _FALSE = ("yes", "true", "1"), ("", "no", "false", "0")


def read(text: str) -> Iterator[Found]:
    """The accounts of a file."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    header: list[str] = []
    while True:
        place = f"line {reader.line_num + 1}"
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Refusal(place, "is not CSV from here on (RFC 4180)")
            return
        if not header:
            header = [name.strip().lower() for name in row]
            if "user" not in header or not {"password", "hash"} & set(header):
                yield Refusal(place, "must be a header that names user, and password or hash")
                return
        elif row:
            yield _read_row(place, header, row)


def _read_row(place: str, header: list[str], row: list[str]) -> Found:
    if len(row) != len(header) or sum(map(len, row)) > MAX_LINE:
        return Refusal(place, f"has not {len(header)} columns, as its header has")
    values = dict(zip(header, row, strict=True))
    name = values["user"] + (f"@{values['realm']}" if values.get("realm") else "")
    password, hashed = values.get("password", ""), values.get("hash", "")
    disabled = values.get("disabled", "").strip().lower()
    if disabled not in (*_TRUE, *_FALSE):
        return Refusal(place, "says neither yes nor no in the column disabled", name)
    if bool(password) == bool(hashed):
        return Refusal(place, "needs either a password or a hash", name)
    if hashed:
        return read_value(place, name, hashed, is_disabled=disabled in _TRUE)
    return Account(place, name, password=password, is_disabled=disabled in _TRUE)
