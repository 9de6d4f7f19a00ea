"""Where a message ends, and what it must not hold: the scanner of the bytes that follow DATA's 354.

(Under BDAT only the second is a question: chunks.py has the first, `LineChecker` serves both.)

Only CRLF.CRLF ends a message (RFC 5321 section 4.1.1.4). Everything that another server might take for an end or for
a line break is refused: a CR or LF that is not part of a CRLF, and NUL (sections 2.3.8 and 4.5.2). That is what keeps
a message from smuggling a second one past us, and a signature from being broken by somebody's repairs.

The scanner passes the bytes on as they came, dots still doubled. It never holds the message: what `feed` returns may
go to the relay at once, because of two rules.

1. Octets are checked before they are passed on, and after the first fault nothing more is.
2. The last four are held back until it is clear that they don't begin the end, so that the lone dot never goes out
   with the message. `END` is what the caller sends once the message is whole and good; without it the relay has a
   message that was cut off, which it throws away (RFC 5321 section 4.1.1.4).

The start of the data counts as the start of a line: `.CRLF` alone is the empty message.

Costs are those of two passes in C, together less than a nanosecond an octet: bytes.find for the end, and Python's own
decoder of line endings, which notes the kinds it meets (counting CR, LF and CRLF takes four times as long). A loop over
lines in Python would cost twenty times that.
"""

from __future__ import annotations

import io

from submission.core import replies
from submission.core.replies import Reply

END = b".\r\n"
"""The line that ends a message; the CRLF before it belongs to the message's last line."""

_MARK = b"\r\n" + END
_HELD = len(_MARK) - 1

MAX_LINE = 1024 * 1024
"""Octets of a line. RFC 5321 section 4.5.3.1.6 asks for 1000 at least; mail programs that put a whole HTML page on
one line are common and their users can't change them. Nothing is held by the line, so this only bounds the relay."""


class LineChecker:
    """Checks content, chunk by chunk: CR and LF in pairs only, no NUL, bounded lines, bounded size.

    `fault` is the reply for the first thing found, or None. `size` counts octets as they travel (doubled dots too).
    """

    __slots__ = ("_endings", "_line", "_max_line", "_max_size", "fault", "size")

    def __init__(self, max_size: int, max_line: int = MAX_LINE) -> None:
        self._max_size = max_size
        self._max_line = max_line
        self._endings = io.IncrementalNewlineDecoder(None, translate=False)  # a CR at a chunk's end waits for more
        self._line = 0  # octets of the unfinished line
        self.size = 0
        self.fault: Reply | None = None

    def feed(self, chunk: bytes) -> None:
        """Check the next octets of the content."""
        self.size += len(chunk)
        if self.fault is None and chunk:
            self._endings.decode(chunk.decode("latin-1"))
            if not self._has_pairs_only or b"\0" in chunk:
                self.fault = replies.BARE_LINE_ENDINGS
            elif not self._short_lines(chunk):
                self.fault = replies.LINES_TOO_LONG
            elif self.size > self._max_size:
                self.fault = replies.MESSAGE_TOO_BIG

    def finish(self) -> None:
        """Learn that the content is over: a CR that waited for its LF has none."""
        self._endings.decode("", final=True)
        if self.fault is None and not self._has_pairs_only:
            self.fault = replies.BARE_LINE_ENDINGS

    @property
    def _has_pairs_only(self) -> bool:
        """Whether every CR so far is followed by LF and every LF preceded by CR."""
        return self._endings.newlines in (None, "\r\n")

    def _short_lines(self, chunk: bytes) -> bool:
        """Whether no line is longer than allowed, its CRLF not counted.

        Strides from a line break to the last one within reach, so a chunk of short lines costs one or two steps.
        """
        start = 0
        room = self._max_line - self._line
        while len(chunk) - start > room + 2:
            newline = chunk.rfind(b"\n", start, start + room + 2)
            if newline < 0:
                return False
            start = newline + 1
            self._line, room = 0, self._max_line
        newline = chunk.rfind(b"\n", start)
        self._line = len(chunk) - newline - 1 if newline >= 0 else self._line + len(chunk) - start
        return True


class DataScanner:
    """Finds the end of DATA in a stream cut into chunks anywhere.

    `feed` until `ended`; then `fault` is None (send END to the relay and ask for its verdict) or the reply that the
    client gets instead, and `rest` is what came behind the end: the client's next commands.
    """

    __slots__ = ("_checker", "_held", "_virtual", "ended", "rest")

    def __init__(self, max_size: int, max_line: int = MAX_LINE) -> None:
        self._checker = LineChecker(max_size, max_line)
        self._held = b"\r\n"  # as if a line had just ended; these two octets were never in the data
        self._virtual = 2
        self.ended = False
        self.rest = b""

    @property
    def fault(self) -> Reply | None:
        """The reply that refuses the message, as soon as there is a reason."""
        return self._checker.fault

    @property
    def size(self) -> int:
        """Octets of the message so far, as they travelled."""
        return self._checker.size

    def feed(self, chunk: bytes) -> bytes:
        """Take the next octets; the return value, checked, may go to the relay."""
        window = self._held + chunk
        mark = window.find(_MARK)
        if mark < 0:
            cut = max(len(window) - _HELD, 0)
        else:
            self.ended = True
            self.rest = window[mark + len(_MARK) :]
            cut = mark + 2
        self._held = b"" if self.ended else window[cut:]
        start = min(self._virtual, cut)
        self._virtual -= start
        ready = window[start:cut]
        self._checker.feed(ready)
        return b"" if self.fault else ready
