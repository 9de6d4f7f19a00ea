"""A mail filter for sendmail, only to refuse recipients in several lines, which sendmail by itself never does.

It speaks as much of the milter protocol as that takes (libmilter/mfdef.h in sendmail's source): a packet is a length
of four octets, a letter, and data.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Mapping
from typing import Self

NEGOTIATE, MACROS, RECIPIENT, ABORT = b"O", b"D", b"R", b"A"
CONTINUE, REPLY = b"c", b"y"
VERSION = 6
UNWANTED = 0x01 | 0x02 | 0x04 | 0x10 | 0x20 | 0x40 | 0x100 | 0x200
"""Steps that sendmail needn't tell us of: connection, EHLO, MAIL, body, header, its end, unknown commands, DATA."""


class Milter:
    """A filter on a free port of 127.0.0.1; `with` starts and ends it."""

    def __init__(self, refusals: Mapping[str, tuple[str, ...]]) -> None:
        """`refusals` is a recipient's address to the lines of the reply, codes and hyphens included."""
        self.refusals = {f"<{address}>": "\r\n".join(lines) for address, lines in refusals.items()}
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.refusals = self.refusals
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    refusals: Mapping[str, str]


class _Connection(socketserver.StreamRequestHandler):
    """One session of sendmail's."""

    server: _Server

    def handle(self) -> None:
        while header := self.rfile.read(5):
            letter, data = header[4:], self.rfile.read(struct.unpack("!I", header[:4])[0] - 1)
            if letter == NEGOTIATE:
                _, _, steps = struct.unpack("!III", data[:12])
                self._send(NEGOTIATE, struct.pack("!III", VERSION, 0, UNWANTED & steps))
            elif letter == RECIPIENT and (text := self.server.refusals.get(data.split(b"\0")[0].decode())):
                self._send(REPLY, text.encode() + b"\0")
            elif letter not in (MACROS, ABORT):
                self._send(CONTINUE)

    def _send(self, letter: bytes, data: bytes = b"") -> None:
        self.wfile.write(struct.pack("!I", 1 + len(data)) + letter + data)
