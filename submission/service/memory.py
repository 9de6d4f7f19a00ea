"""Memory that is free again, given back to the kernel.

glibc keeps what was freed for later. A crowd of clients, each with buffers of a hundred kilobytes, leaves hundreds of
megabytes of it behind, in pieces between a few that are still used, and nothing of them is ever returned by itself. And
what some failures leave waits for Python's collector, which has no reason to run where nothing happens. Both take a
while (glibc a fifth of a millisecond a megabyte), in which others may wait, so it is for moments when nobody is there.
Where the C library has no such function (musl, macOS), there is only the collector.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


async def give_back() -> None:
    """Collect what is garbage, and return what is free (malloc_trim(3)); see the module's docstring."""
    gc.collect()  # here, for what the event loop made must not be taken apart in another thread
    if _trim is not None:
        await asyncio.to_thread(_trim, ctypes.c_size_t(0))
