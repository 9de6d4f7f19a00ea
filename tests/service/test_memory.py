from __future__ import annotations

import platform
from pathlib import Path

import pytest

from submission.service.memory import give_back

BLOCK = 3000
"""Octets: more than Python has an allocator of its own for."""
COUNT = 30_000


def resident() -> int:
    """Octets of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has malloc_trim")
def test_what_is_free_between_pieces_that_are_used_goes_back() -> None:
    before = resident()
    blocks = [bytearray(BLOCK) for _ in range(COUNT)]
    used = blocks[::100]
    del blocks
    assert resident() > before + BLOCK * COUNT // 2
    give_back()
    assert resident() < before + BLOCK * COUNT // 4
    assert len(used) == COUNT // 100
