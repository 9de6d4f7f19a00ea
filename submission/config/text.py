"""Settings and single values as TOML text, for a person to read and for tomllib to read back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pydantic import BaseModel


def toml(table: BaseModel) -> str:
    """The table and those below it, every key with its value; what is unset reads as an empty text."""
    return "\n".join(_lines(table, ())) + "\n"


def _lines(table: BaseModel, path: tuple[str, ...]) -> Iterator[str]:
    """The table's own keys first, for in TOML a key belongs to the header above it."""
    below: list[tuple[str, BaseModel, str]] = []
    for key, value in table:
        if isinstance(value, BaseModel):
            below.append((key, value, "[{}]"))
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            below.extend((key, item, "[[{}]]") for item in value)
        else:
            yield f"{key} = {shown(value)}"
    for key, item, header in below:
        yield ""
        yield header.format(".".join((*path, key)))
        yield from _lines(item, (*path, key))


def shown(value: object) -> str:
    """A value as TOML writes it; a table is only hinted at, and what TOML has no type for is shown as a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{…}"
    text = json.dumps("" if value is None else str(value), ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
