"""Has hatchling write the man pages whenever it builds a wheel, and put them where man looks for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "build/man"


class ManPages(BuildHookInterface[Any]):
    """The only hook, for wheels and for editable installations alike."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling names them
        """Write the pages, and name them to the builder; `version` is the kind of wheel, not the release."""
        command = [sys.executable, "-m", "manual", FOLDER, self.metadata.version]
        subprocess.run(command, cwd=self.root, check=True, timeout=60)  # noqa: S603 - a process without our modules
        for page in sorted(Path(self.root, FOLDER).iterdir()):
            build_data["shared_data"][str(page)] = f"share/man/man{page.suffix[1:]}/{page.name}"
