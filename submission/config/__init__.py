"""The configuration: one TOML file, read once, frozen; every fault is reported, and all at once.

    load(path) -> Settings          or ConfigError, one line a fault: FILE:key: what is wrong, what is allowed

settings.py says what there is, with limits.py, policy.py, pop.py and vouchers.py, each for its tables; values.py and
identifiers.py say how a value is written, text.py writes it back. Nothing is looked up while reading but the system's
own host name; whether files exist is the matter of `submission check`.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from submission.config.settings import Settings
from submission.config.tables import CrossCheckError
from submission.config.text import shown

if typing.TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["ConfigError", "Settings", "default_path", "load"]

MAX_FILE = 1 << 20
"""Octets of a configuration file."""

MAX_SHOWN = 80
"""Characters of a wrong value that are repeated to the admin."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")
_PLACE = re.compile(r"(.*) \(at (?:line ([0-9]+), column [0-9]+|end of document)\)", re.DOTALL)


class ConfigError(Exception):
    """The configuration can't be used. `faults` are whole lines; str() joins them."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def default_path() -> Path:
    """The file that is read where none is named: $SUBMISSION_CONFIG, or the one in /etc."""
    return Path(os.environ.get("SUBMISSION_CONFIG") or "/etc/submission/submission.toml")


def load(path: Path) -> Settings:
    """Read and check the file. Raises ConfigError."""
    table = _read(path)
    try:
        return Settings.model_validate(table, context={"folder": path.absolute().parent})
    except ValidationError as error:
        details = error.errors(include_url=False)
    raise ConfigError(tuple(f"{path}:{key}: {text}" for detail in details for key, text in _faults(detail)))


def _read(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigError((f"{path}: {error.strerror or 'cannot be read'}",)) from None
    if len(data) > MAX_FILE:
        raise ConfigError((f"{path}: is larger than {MAX_FILE} bytes",))
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError((f"{path}:{line}: is not UTF-8, which TOML must be",)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError((f"{path}:{_syntax_fault(str(error), data)}",)) from None


def _syntax_fault(text: str, data: bytes) -> str:
    """Line and text of a fault that tomllib found: it puts the place last, or says that it is the end."""
    match = _PLACE.fullmatch(text)
    line = match[2] if match and match[2] else str(data.count(b"\n") + 1)
    what = "".join(char if char.isprintable() else " " for char in (match[1] if match else text))
    return f"{line}: {what}, not valid TOML"


def _faults(detail: ErrorDetails) -> Iterator[tuple[str, str]]:
    """Each key that one of pydantic's errors is about, and what to say of it."""
    location, kind = detail["loc"], detail["type"]
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, CrossCheckError):
        yield from cause.texts.items()
    elif kind == "extra_forbidden":
        yield _dotted(location), _unknown(location)
    elif kind == "missing":
        yield _dotted(location), "is missing, and has no default"
    else:
        wish = str(cause) if cause else detail["msg"].replace("Input should", "must").replace("'", '"')
        yield _dotted(location), f"{_bounded(detail['input'])} {_IN_TOML.get(kind, wish)}"


_IN_TOML = {
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be an array",
    "string_type": "must be a text in double quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
}
"""What pydantic's types are called in TOML."""


def _dotted(location: tuple[int | str, ...]) -> str:
    """`("listen", 0, "tls")` as `listen[0].tls`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else _bounded(part))
    return text


def _unknown(location: tuple[int | str, ...]) -> str:
    """What to say of a key that isn't there: the one that was meant, or all that there are."""
    *path, key = location
    allowed = list(_table_at(path).model_fields)
    close = difflib.get_close_matches(str(key), allowed, n=1)
    return f'is unknown, did you mean "{close[0]}"?' if close else "is unknown, allowed: " + ", ".join(allowed)


def _table_at(path: list[int | str]) -> type[BaseModel]:
    table: type[BaseModel] = Settings
    for part in path:
        if isinstance(part, str):
            table = next(_tables(table.model_fields[part].annotation))
    return table


def _tables(annotation: object) -> Iterator[type[BaseModel]]:
    """The classes of tables in an annotation such as `Annotated[tuple[Listen, ...], ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _tables(inner)


def _bounded(value: object) -> str:
    """A wrong value as the file has it, on one line and not too long."""
    text = shown(value)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
