"""A command under what a unit of systemd's forbids it, without systemd: the part that a process can put on itself.

    python sandbox.py UNIT COMMAND [ARGUMENT]...

Of the unit's settings these are put on: SystemCallFilter=, RestrictAddressFamilies=, MemoryDenyWriteExecute=,
NoNewPrivileges= and UMask=. The filter is libseccomp's, as systemd's is, and the sets of calls are named by
systemd-analyze. The tests may be run by root, as a unit with User= is not: what only root does is allowed.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FOR_ROOT = "@setuid fchown"
"""To drop it, and because SQLite gives its new files to the owner of the database."""

_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM)
_EQUAL = 4  # SCMP_CMP_EQ
_NO_NEW_PRIVILEGES, _NO_WRITABLE_CODE = 38, 65  # PR_SET_NO_NEW_PRIVS, PR_SET_MDWE


class _Comparison(ctypes.Structure):
    """scmp_arg_cmp of libseccomp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("unused", ctypes.c_uint64),
    )


def settings_of(unit: Path, key: str) -> list[str]:
    """The values of a key, in the order of its lines."""
    return [line.partition("=")[2] for line in unit.read_text().splitlines() if line.startswith(f"{key}=")]


def allowed_calls(unit: Path) -> set[str]:
    """What is left of the system calls after all lines of SystemCallFilter=."""
    allowed: set[str] = set()
    for line in [*settings_of(unit, "SystemCallFilter"), FOR_ROOT]:
        calls = {call for word in line.removeprefix("~").split() for call in _expand(word)}
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed


def _expand(word: str) -> Iterator[str]:
    if not word.startswith("@"):
        yield word
        return
    command = ["systemd-analyze", "syscall-filter", "--no-pager", word]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    for line in output.splitlines()[1:]:
        if not line.strip().startswith("#"):
            yield from _expand(line.strip())


def _put_on(unit: Path) -> None:
    libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    calls = allowed_calls(unit)
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(_REFUSE)))
    for call in calls - {"socket"}:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # else one of other processors
            seccomp.seccomp_rule_add_array(context, ctypes.c_uint32(_ALLOW), number, 0, None)
    for family in settings_of(unit, "RestrictAddressFamilies")[0].split():
        number = seccomp.seccomp_syscall_resolve_name(b"socket")
        is_it = _Comparison(0, _EQUAL, getattr(socket, family), 0)
        seccomp.seccomp_rule_add_array(context, ctypes.c_uint32(_ALLOW), number, 1, ctypes.byref(is_it))
    os.umask(int(settings_of(unit, "UMask")[0], 8))
    if settings_of(unit, "NoNewPrivileges") == ["yes"]:
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if settings_of(unit, "MemoryDenyWriteExecute") == ["yes"]:
        libc.prctl(_NO_WRITABLE_CODE, 1, 0, 0, 0)  # since Linux 6.3
    if seccomp.seccomp_load(context):
        raise OSError("the filter can't be loaded")


if __name__ == "__main__":
    _put_on(Path(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
