"""The table as files for sendmail, for where it shall ask nobody: a text map, or its access file with makemap.

A text map is read by sendmail at each lookup: `192.0.2.50|joe@example.com`. The access file is the admin's own, so what
is ours stands in it between two marks, and only that is replaced:

    10.0.0.1	REJECT                       other people's lines stay where they are
    # BEGIN submission-proxy ...
    From:spam@example.net	REJECT           PATH.static, as it is
    Connect:192.0.2.50	RELAY                the table
    # END submission-proxy

A key that is in other people's lines or in PATH.static isn't written again, nor an address of a network that these
refuse, which a line of ours would let in: the admin's word stands. A line that makemap doesn't take, such as a key's
second one, is left out of the database, as it is by hand, and the log tells: a slip must not keep a grant there that
has ended. Both files, and the database that makemap makes, appear whole, by rename; nothing is written where nothing
changed. What an admin wrote while makemap was busy is not overwritten. All of it blocks.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from submission import logs

BEGIN = "# BEGIN submission-proxy: lines up to END are replaced, put your own outside or into {static}\n"
END = "# END submission-proxy\n"
MAX_FILE = 64 << 20
"""Octets of a file that is read."""
PATIENCE = 15.0
"""Seconds that makemap may take: twice as many are less than the service may take to stop."""

MAX_COMPLAINTS = 3
"""Lines that the log names of those which makemap leaves out."""

_BLOCK = re.compile(r"^# BEGIN submission-proxy.*?^# END submission-proxy[^\n]*\n?", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"^# (BEGIN|END) submission-proxy", re.MULTILINE)
_MODE = 0o644
"""Of a file that wasn't there: what is in it is no secret, and sendmail may not be root when it reads."""
_MAKEMAP = ("/usr/sbin", "/usr/libexec/sendmail", "/usr/lib/sendmail")
_TAGS = ("connect:", "")
_NO_REFUSAL = re.compile(r"(RELAY|OK|SKIP)\s*", re.IGNORECASE)
"""What sendmail takes for a yes, or for nothing, beside an address; all else is a refusal, or its text."""
_LEFT_OUT = re.compile(r"line [0-9]+: .*")
_UNSAFE = re.compile(r"[^!-{}~]")


class MapError(Exception):
    """A file can't be written. The text tells the admin which, why, and what to do."""


def key_of(address: str) -> str:
    """An address as sendmail names it: IPv6 with its tag, and not compressed."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        groups = ":".join(format(int(group, 16), "x") for group in parsed.exploded.split(":"))
        return f"IPv6:{groups}"
    return str(parsed)


def write_text_map(path: Path, users: Mapping[str, str]) -> bool:
    """Write address and user a line. Returns whether anything changed. Raises MapError.

    A map that can't be replaced, as on a full disk, is emptied: what it says may have ended.
    """
    lines = (f"{key_of(address).lower()}|{_UNSAFE.sub('?', user) or '?'}\n" for address, user in sorted(users.items()))
    text = "".join(lines)
    with _translated(path):
        if _read(path) == text:
            return False
        try:
            with _replacing(path) as temporary:
                temporary.write_text(text)
        except OSError:
            with suppress(OSError):
                os.truncate(path, 0)
            raise
    return True


def write_access_map(path: Path, addresses: Iterable[str]) -> bool:
    """Bring the access file and its database up to date. Returns whether anything changed. Raises MapError."""
    static = path.with_name(f"{path.name}.static")
    with _translated(path):
        before = _read(path)
        text = merge(before or "", _read(static) or "", static.name, addresses)
        database = path.with_name(f"{path.name}.db")
        if text == before and _is_made_of(database, path):
            return False
        with ExitStack() as cleaning:
            with _replacing(path) as temporary:
                temporary.write_text(text, "utf-8", "surrogateescape")
                made = database.with_name(f"{temporary.name}.db")  # elsewhere, where the text is a symbolic link
                cleaning.callback(made.unlink, missing_ok=True)
                if left_out := _make_map(temporary, made):
                    logs.event("map-lines-refused", file=str(path), reason=left_out)
                _adopt(database, made)
                _date(made, temporary)
                if _read(path) != before:
                    raise MapError("was changed by somebody else meanwhile")
            made.replace(database)  # last: if it doesn't come to this, it isn't as old as the text, and is made again
    return True


def merge(before: str, static: str, static_name: str, addresses: Iterable[str]) -> str:
    """The access file's text: other people's lines, and our block with the static ones. Raises MapError.

    Static lines may be a copy of the access file: what was ours in it isn't theirs, and would never end.
    """
    others, static = _BLOCK.sub("", before, count=1), _BLOCK.sub("", static)
    if _MARK.search(others):
        raise MapError("has a BEGIN or END submission-proxy without the other: remove what is left of that block")
    if static and not static.endswith("\n"):
        static += "\n"
    theirs = [*_lines(others), *_lines(static)]
    named = {key for key, _ in theirs}
    refused = {key for key, value in theirs if not _NO_REFUSAL.fullmatch(value)}
    ours = [
        f"Connect:{key_of(address)}\tRELAY\n"
        for address in sorted(addresses)
        if not _has_word(key_of(address).lower(), named, refused)
    ]
    block = "".join((BEGIN.format(static=static_name), static, *ours, END))
    if _BLOCK.search(before):
        return _BLOCK.sub(lambda _: block, before, count=1)
    return before + ("\n" if before and not before.endswith("\n") else "") + block


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Keys in lower case, and what is said of them."""
    for line in text.split("\n"):  # as makemap does, for which no other character ends one
        key, *value = line.split(None, 1)[:2] or [""]
        if key and not key.startswith("#"):
            yield key.lower(), "".join(value)


def _has_word(key: str, named: Set[str], refused: Set[str]) -> bool:
    """Whether the admin has said something of an address, or refuses a network that it is in (`192.0.2`)."""
    if any(f"{tag}{key}" in named for tag in _TAGS):
        return True
    separator = ":" if ":" in key else "."
    parts = key.split(separator)
    networks = (separator.join(parts[:length]) for length in range(1, len(parts)))
    return any(f"{tag}{network}" in refused for network in networks for tag in _TAGS)


def find_makemap() -> str | None:
    """The program of sendmail's that makes databases, None where it isn't."""
    return shutil.which("makemap", path=os.pathsep.join((os.environ.get("PATH", ""), *_MAKEMAP)))


def _is_made_of(database: Path, source: Path) -> bool:
    """Whether it is as old as the text that it is of. That it is younger tells nothing: clocks are set back."""
    try:
        return database.stat().st_mtime_ns == source.stat().st_mtime_ns
    except FileNotFoundError:
        return False


def _date(made: Path, source: Path) -> None:
    """Say which text a database is of, by its time."""
    status = source.stat()
    os.utime(made, ns=(status.st_atime_ns, status.st_mtime_ns))


def _make_map(source: Path, made: Path) -> str:
    """Make the database of a text. What makemap says of lines that it leaves out, if there are any. Raises MapError."""
    program = find_makemap()
    if program is None:
        raise MapError("needs makemap, which is sendmail's and isn't here")
    try:
        with source.open("rb") as lines:
            result = subprocess.run(  # noqa: S603 - the program is sendmail's, the name is ours
                [program, "hash", str(made.with_suffix(""))],
                stdin=lines,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
    except subprocess.TimeoutExpired:
        raise MapError(f"makemap took more than {PATIENCE:.0f} s") from None
    said = result.stderr.decode("utf-8", "replace").strip().splitlines()
    if result.returncode not in (os.EX_OK, os.EX_DATAERR) or not made.exists():
        raise MapError(f"makemap failed: {said[-1] if said else result.returncode}")
    left_out = list(filter(None, map(_LEFT_OUT.search, said)))
    return "; ".join(complaint[0] for complaint in left_out[:MAX_COMPLAINTS])


def _read(path: Path) -> str | None:
    """The file's text, None where there is none."""
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return None
    if len(octets) > MAX_FILE:
        raise MapError(f"is larger than {MAX_FILE >> 20} MiB")
    return octets.decode("utf-8", "surrogateescape")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file to write instead, that takes the path's place once it is whole, with the owner and mode of the old one."""
    path = path.resolve()  # a symbolic link stays one
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        yield temporary
        _adopt(path, temporary)
        os.fsync(descriptor)
        temporary.replace(path)
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _adopt(old: Path, new: Path) -> None:
    """Give a new file the owner and mode of the one that it replaces, if there is one."""
    if not old.exists():
        new.chmod(_MODE)
        return
    status = old.stat()
    if os.geteuid() == 0:
        os.chown(new, status.st_uid, status.st_gid)
    new.chmod(status.st_mode & 0o7777)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MapError(f"{path}: {error.strerror}") from error
    except MapError as error:
        raise MapError(f"{path}: {error}") from error.__cause__
