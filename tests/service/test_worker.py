"""The event loop that a worker has; test_workers.py has what it does with it."""

import subprocess
import sys
from pathlib import Path

import uvloop

from submission.service.worker import find_event_loop

SCRIPT = """
import asyncio.selector_events, asyncio.sslproto
from submission.service.worker import find_event_loop
assert find_event_loop() is asyncio.new_event_loop
print(asyncio.selector_events._SelectorSocketTransport.max_size, asyncio.sslproto.SSLProtocol.max_size)
"""


def test_uvloop_where_it_is() -> None:
    assert find_event_loop() is uvloop.new_event_loop


def test_asyncio_with_small_buffers_where_uvloop_is_not(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError")
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{SCRIPT}"],
        capture_output=True,
        text=True,
    )
    assert (result.stdout, result.stderr) == ("65536 32768\n", "")
