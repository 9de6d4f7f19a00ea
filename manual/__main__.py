"""`python -m manual FOLDER`: write the pages into a folder."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from manual.pages import make_pages


def main(folder: Path, release: str) -> None:
    """Write each page of a release into a file of its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in make_pages(release).items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else version("submission-proxy"))
