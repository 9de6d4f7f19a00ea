"""What POP before SMTP points to: the logs that it follows, and what it keeps for sendmail."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

from submission.cli.check.findings import Finding, may_read, may_write
from submission.config.pop import PopBeforeSmtp
from submission.popwatch.files import expand
from submission.popwatch.syslog import syslog_address
from submission.sendmail.files import find_makemap

RUNTIME = Path("/run/submission")
"""What the unit of systemd makes at each start (contrib/systemd, RuntimeDirectory=)."""


def examine_pop_before_smtp(pop: PopBeforeSmtp, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    """Whether the service can read and write all that it is to."""
    if not pop.enabled:
        return
    if pop.logs and not pop.formats and not pop.pattern:
        text = "names no server, so no login counts; `submission pop detect` finds out which a log holds"
        yield Finding("pop_before_smtp.formats", text, is_warning=True)
    for number, log in enumerate(pop.logs):
        yield from _log(f"pop_before_smtp.logs[{number}]", log, user)
    sendmail = pop.sendmail
    if sendmail.socketmap is not None:  # whose socket is made before root is dropped
        yield from _folder("pop_before_smtp.sendmail.socketmap", sendmail.socketmap.parent, None)
    for key, path in (("text_map", sendmail.text_map), ("access_map", sendmail.access_map)):
        if path is not None:
            yield from _map(f"pop_before_smtp.sendmail.{key}", path, user)
    if sendmail.access_map is not None and find_makemap() is None:
        text = "needs sendmail's makemap, which isn't here; use socketmap or text_map"
        yield Finding("pop_before_smtp.sendmail.access_map", text)


def _log(key: str, log: str, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    if log == "journal":
        if shutil.which("journalctl") is None:
            yield Finding(key, "needs journalctl, which isn't here; name files instead")
        return
    if log.startswith("syslog:"):
        address = syslog_address(log)
        if isinstance(address, Path):
            yield from _folder(key, address.parent, user)
        return
    paths = [path for path in expand(log) if path.exists()]
    if not paths:
        yield Finding(key, f'"{log}" is not there yet', is_warning=True)
    for path in paths:
        if os.geteuid() == 0 and user is not None and not may_read(path, user):
            text = f"must be readable for that user, such as by a group (usermod -aG adm {user.pw_name})"
            yield Finding(key, f'"{path}" cannot be read by {user.pw_name}, {text}')


def _map(key: str, path: Path, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    """Files are replaced, so it is the folder that has to be open."""
    yield from _folder(key, path.resolve().parent, user)


def _folder(key: str, folder: Path, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    name = user.pw_name if user else "the service"
    wish = f"must be a folder that {name} may write to"
    if folder == RUNTIME and not folder.exists():
        text = f'"{folder}" is not there yet: the unit of systemd makes it at each start, without systemd it is for you'
        yield Finding(key, text, is_warning=True)
        return
    try:
        status = folder.stat()
    except OSError as error:
        yield Finding(key, f'"{folder}": {error.strerror}, {wish}')
        return
    if not folder.is_dir():
        yield Finding(key, f'"{folder}" is not a folder, {wish}')
    elif not may_write(folder, status, user):
        yield Finding(key, f'"{folder}" cannot be written to, {wish}')
