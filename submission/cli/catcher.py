"""A stand-in for sendmail where none runs: takes every message and puts it into a Maildir. For `submission demo` only.

It speaks as much SMTP as our relay side needs of it and no more, serves loopback, and keeps what it gets in memory
until the final dot: the demo's messages are small.
"""

from __future__ import annotations

import mailbox
import socketserver
import threading
from pathlib import Path

MAX_LINE = 1 << 20


class Catcher(socketserver.ThreadingTCPServer):
    """Serves from its own threads between `start` and `stop`."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.maildir = mailbox.Maildir(folder, create=True)
        super().__init__(("127.0.0.1", 0), _Conversation)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self.serve_forever, name="catcher", daemon=True).start()

    def stop(self) -> None:
        """Serve no more."""
        self.shutdown()
        self.server_close()


class _Conversation(socketserver.StreamRequestHandler):
    """One connection."""

    server: Catcher

    def handle(self) -> None:
        self._say(b"220 demo ESMTP")
        while line := self.rfile.readline(MAX_LINE):
            verb = line[:4].upper()
            if verb == b"EHLO":
                self._say(b"250-demo\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 DSN")
            elif verb == b"DATA":
                self._say(b"354 go on")
                self._keep()
            elif verb == b"QUIT":
                self._say(b"221 2.0.0 bye")
                return
            else:
                self._say(b"250 2.0.0 ok")

    def _keep(self) -> None:
        lines = []
        while (line := self.rfile.readline(MAX_LINE)) != b".\r\n":
            if not line:
                return
            lines.append(line.removeprefix(b".").replace(b"\r\n", b"\n"))
        self.server.maildir.add(b"".join(lines))
        self._say(b"250 2.0.0 kept in the Maildir")

    def _say(self, reply: bytes) -> None:
        self.wfile.write(reply + b"\r\n")
