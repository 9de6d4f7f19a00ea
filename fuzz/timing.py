"""A bound on what an input costs, so that none of them can hold up the others' clients."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator

LIMIT = 0.25
"""Seconds of CPU: a hundred times what any good input takes, and far below what backtracking without end does."""


@contextlib.contextmanager
def bounded(limit: float = LIMIT) -> Iterator[None]:
    """Raise where what is inside takes more of this thread's CPU than `limit`, in seconds."""
    gc.disable()  # which looks at the garbage of everybody
    start = time.thread_time()
    try:
        yield
    finally:
        spent = time.thread_time() - start
        gc.enable()
    assert spent < limit, f"took {spent:.3f} s"
