"""How commands get a password: from a person at a terminal, unseen, or from a program on standard input.

Never from an argument, which every user of the host could read in the list of processes.
"""

from __future__ import annotations

import sys

import click

from submission.credentials.hashing import MAX_PASSWORD


def is_terminal() -> bool:
    """Whether there is a person to ask. Standard input may be closed altogether, as some supervisors leave it."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask_password(prompt: str) -> str:
    """What a person types, empty too. The terminal doesn't show it."""
    password: str = click.prompt(prompt, hide_input=True, prompt_suffix=": ", default="", show_default=False)
    return password


def read_password() -> str:
    """Standard input as a whole, but for one line end behind it; no more of it than tells that it is too long.

    Octets that aren't UTF-8 become surrogates, which no password may hold.
    """
    if sys.stdin is None:
        return ""
    data = sys.stdin.buffer.read(MAX_PASSWORD + len("\r\n") + 1)
    return data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")
