"""Stands in for journalctl where no systemd runs: shows what a service that systemctl.py started has printed.

journalctl [OPTION]... -u UNIT
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    unit = sys.argv[sys.argv.index("-u") + 1].removesuffix(".service")
    file = Path(f"/run/stand-in/{unit}.log")
    print(file.read_text() if file.exists() else "-- No entries --", end="")
