"""Why the service can't run."""

from __future__ import annotations


class StartError(Exception):
    """The service can't start. `code` is a sysexits number, the text is for the admin."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code
