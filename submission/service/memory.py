"""Memory that is free again, given back to the kernel.

glibc keeps what was freed for later. A crowd of clients, each with buffers of a hundred kilobytes, leaves hundreds of
megabytes of it behind, in pieces between a few that are still used, and nothing of them is ever returned by itself. To
return them takes a fifth of a millisecond a megabyte, in which others who want memory may wait, so it is for moments
when nobody is there. Where the C library has no such function (musl, macOS), nothing happens.
"""

from __future__ import annotations

import ctypes

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def give_back() -> None:
    """Return what is free (malloc_trim(3)); may block, see the module's docstring."""
    if _trim is not None:
        _trim(ctypes.c_size_t(0))
