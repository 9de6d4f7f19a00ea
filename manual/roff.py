"""Pages in roff's man macros, as man(7) has them; whatever text comes in is quoted, so that none of it is obeyed."""

from __future__ import annotations

import re
from collections.abc import Iterable

_CODE = re.compile(r"`([^`]+)`")
_LITERAL = {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}


def quote(text: str) -> str:
    """Text that roff sets as it is, on one line: ASCII, without macros or escapes of its own."""
    quoted = "".join(_LITERAL.get(char) or (char if char.isascii() else f"\\[u{ord(char):04X}]") for char in text)
    return "\\&" + quoted if quoted.startswith(".") else quoted


def bold(text: str) -> str:
    """Text in bold, quoted."""
    return rf"\fB{quote(text)}\fR"


def prose(text: str) -> str:
    """A paragraph on one line, in which what stands between backticks is bold."""
    words = " ".join(text.split())
    parts = (bold(part) if number % 2 else quote(part) for number, part in enumerate(_CODE.split(words)))
    line = "".join(parts)
    return line.replace("\\&", "", 1) if line.startswith("\\&\\f") else line


class Page:
    """A page that grows from its head to its end."""

    def __init__(self, name: str, section: int, version: str, purpose: str) -> None:
        title = f'.TH "{quote(name.upper())}" {section} "" "submission\\-proxy {quote(version)}"'
        self._lines = [title, ".SH NAME", rf"{quote(name)} \- {quote(purpose)}"]

    def section(self, title: str) -> None:
        """Begin a section."""
        self._lines.append(f'.SH "{quote(title)}"')

    def subsection(self, title: str) -> None:
        """Begin a part of a section; `title` is roff already."""
        self._lines.append(f'.SS "{title}"')

    def synopsis(self, lines: Iterable[str]) -> None:
        """Lines that stay apart, roff already."""
        for line in lines:
            self._lines += [".br", line]

    def paragraphs(self, text: str) -> None:
        r"""Text as docstrings have it: blank lines between paragraphs, and none filled whose first line is \b."""
        for block in re.split(r"\n[ \t]*\n", text.strip("\n")):
            self._lines.append(".PP")
            mark, _, rest = block.partition("\n")
            if mark.strip() == "\b":
                self._lines += [".nf", *(quote(line) or ".sp" for line in rest.splitlines()), ".fi"]
            else:
                self._lines.append(prose(block))

    def item(self, term: str, text: str) -> None:
        """A term, roff already, and what it means."""
        self._lines += [".TP", term, prose(text) or r"\&"]

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"
