import platform
import subprocess
import sys

import pytest

SCRIPT = """
import asyncio
from pathlib import Path
from submission.service.memory import give_back

BLOCK, COUNT = 3000, 30_000  # octets: more than Python has an allocator of its own for

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

before = resident()
blocks = [bytearray(BLOCK) for _ in range(COUNT)]
used = blocks[::100]
del blocks
assert resident() > before + BLOCK * COUNT // 2
asyncio.run(give_back())
assert resident() < before + BLOCK * COUNT // 4
assert len(used) == COUNT // 100
"""
"""For a process of its own: one with other free memory would take the blocks from there."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has malloc_trim")
def test_what_is_free_between_pieces_that_are_used_goes_back() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=60)
