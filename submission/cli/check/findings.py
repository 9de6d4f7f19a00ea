"""What is found wrong, and what the system says of files: who may read and write them."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Finding(NamedTuple):
    """What is wrong with the value of a key, and what would be right; a warning is not a reason to fail."""

    key: str
    text: str
    is_warning: bool = False


def check_own(key: str, path: Path, widest: int, user: pwd.struct_passwd | None) -> Iterator[Finding]:
    """Whether a file that the service keeps is closed to others, and open to the service once it is no longer root."""
    yield from check_mode(key, path, widest)
    if os.geteuid() == 0 and user is not None and path.exists() and not may_read(path, user):
        yield Finding(key, f'"{path}" cannot be read by {user.pw_name}, must belong to that user (chown)')


def check_mode(key: str, path: Path, widest: int) -> Iterator[Finding]:
    """Whether a secret file is open to more than it may be. One that isn't there yet will be made rightly."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return
    if mode & ~widest & (stat.S_IRWXG | stat.S_IRWXO):
        yield Finding(key, f'"{path}" has mode {mode:04o}, must be {widest:04o} or stricter')


def may_write(folder: Path, status: os.stat_result, user: pwd.struct_passwd | None) -> bool:
    """Whether the service may make files in the folder: as `user` if root starts it, else as whoever runs this."""
    if os.geteuid() != 0:
        return os.access(folder, os.W_OK | os.X_OK)
    if user is None:
        return True  # nobody to ask for, which is a finding of its own
    if status.st_uid == user.pw_uid:
        needed = stat.S_IWUSR | stat.S_IXUSR
    elif status.st_gid in os.getgrouplist(user.pw_name, user.pw_gid):
        needed = stat.S_IWGRP | stat.S_IXGRP
    else:
        needed = stat.S_IWOTH | stat.S_IXOTH
    return status.st_mode & needed == needed


def may_read(file: Path, user: pwd.struct_passwd) -> bool:
    """Whether `user` may, by the system's own word: it knows of groups, access lists and the folders above."""
    groups, group = os.getgroups(), os.getegid()
    try:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setegid(user.pw_gid)
        os.seteuid(user.pw_uid)
        with file.open("rb"):
            return True
    except PermissionError:
        return False
    except OSError:  # a finding of its own
        return True
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
