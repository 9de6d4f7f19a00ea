"""An authority that signs what tests ask for, and puts it in place as a program that renews certificates does."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from submission.certificates import make_authority, make_server_certificate
from tests.support.server import USER


class Authority:
    """`pem` is what clients have to trust."""

    def __init__(self) -> None:
        self._authority = make_authority("an authority of the tests", datetime.now(UTC))
        self.pem = self._authority.pem

    def issue(self, folder: Path, name: str, *, days: float = 0) -> int:
        """Replace `name`.key and `name`.pem, good for a year from that many days on; the certificate's serial number.

        It is for the host `name`, or *.`name` where that begins with "any.".
        """
        host = name.replace("any.", "*.", 1) if name.startswith("any.") else name
        made = make_server_certificate(self._authority, [host], datetime.now(UTC) + timedelta(days=days))
        put(folder / f"{name}.key", made.key_pem)
        put(folder / f"{name}.pem", made.pem + self.pem)
        return made.certificate.serial_number


def put(file: Path, data: bytes) -> None:
    """Replace a file at once, by one that the service may read."""
    new = file.with_suffix(".new")
    new.write_bytes(data)
    new.chmod(0o600)
    if os.geteuid() == 0:
        shutil.chown(new, USER)
    new.replace(file)
