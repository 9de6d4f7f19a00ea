"""A host for each module, on which documents are followed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.host import Host, host
from tests.support.server import public_folder


@pytest.fixture(scope="module")
def packages() -> Path:
    """What is unpacked over the host's files."""
    return Path("/")


@pytest.fixture(scope="module")
def there(packages: Path) -> Iterator[Host]:
    with public_folder() as folder, host(folder, packages) as there:
        yield there
