"""What a document tells its readers to type and to write: its steps, in order, for walk.py to follow.

How a document says it, so that a person and a test read the same:

- An indented block is typed. Where its first line begins with a prompt, `# ` for root and `$ ` for a user at another
  machine, so do all its commands, and what stands behind each is what it prints; nothing behind it leaves that open.
  `...` within a line is any text, on a line of its own any lines; blanks stand for tabs and for any number of blanks,
  and a moment, as in `2026-11-21 14:31:14+00:00`, for any moment.
  `[exit status 1]` as the last line is what it ends with, which is 0 unless told. A block without prompts is commands
  alone, a line each, of which nothing is known but that they end with 0.
- A command goes on behind a backslash, and to the end of its here-document. A comment behind it is the reader's.
- A fenced block is to be read. If the text before it ends with "write `/PATH`:" it becomes that file, and if it ends
  with "append to `/PATH`:" the end of it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_HEADING = re.compile(r"(?P<marks>#{1,6}) (?P<title>.+)")
_TARGET = re.compile(r"\b(?P<verb>[Ww]rite|[Aa]ppend to) `(?P<path>/[^`]+)`:\s*\Z")
_PROMPT = re.compile(r"(?P<prompt>[#$]) (?P<rest>.*)")
_COMMENT = re.compile(r"(?:^|\s+)#\s.*")
_HERE_DOCUMENT = re.compile(r"<<-?\s*(['\"]?)(?P<end>\w+)\1")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+\d\d:\d\d")
_STATUS = re.compile(r"\[exit status (?P<status>\d+)\]")


@dataclass(frozen=True, slots=True)
class Command:
    """Something to type."""

    line: int
    """Its line in the document, from 1."""
    headings: tuple[str, ...]
    """The titles above it, the outermost first."""
    text: str
    prompt: str
    """`#`, `$`, or nothing where the block has no prompts."""
    output: str | None = None
    """What it prints, as it is shown; None where nothing is."""
    status: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """Something to write into a file."""

    line: int
    headings: tuple[str, ...]
    path: str
    text: str
    is_appended: bool


Step = Command | Text


def read_recipe(document: Path) -> list[Step]:
    """All steps of a Markdown document, in order."""
    return list(_steps(document.read_text("utf-8").splitlines()))


def is_as_shown(shown: str, output: str) -> bool:
    """Whether a command has printed what its document shows."""
    pattern = "".join(_line_pattern(line) for line in shown.splitlines())
    printed = "".join(f"{' '.join(line.split())}\n" for line in output.splitlines())
    return re.fullmatch(pattern, printed) is not None


def _line_pattern(line: str) -> str:
    words = " ".join(line.split())
    if words == "...":
        return r"(?:.*\n)*?"
    return ".*".join(_text_pattern(part) for part in words.split("...")) + r"\n"


def _text_pattern(text: str) -> str:
    return _MOMENT.pattern.join(map(re.escape, _MOMENT.split(text)))


def _steps(lines: list[str]) -> Iterator[Step]:
    headings: list[str] = []
    number = 0
    while number < len(lines):
        heading = _HEADING.fullmatch(lines[number])
        end = number + 1
        if heading:
            headings = [*headings[: len(heading["marks"]) - 1], heading["title"]]
        elif lines[number].startswith("```"):
            end = _end_of_fence(lines, number)
            yield from _fenced(lines, number, end, tuple(headings))
        elif lines[number].startswith("    ") and not "".join(lines[max(number - 1, 0) : number]).strip():
            end = _end_of_block(lines, number)
            block = textwrap.dedent("\n".join(lines[number:end])).splitlines()
            yield from _typed(block, number + 1, tuple(headings))
        number = end


def _end_of_fence(lines: list[str], start: int) -> int:
    return next(end for end in range(start + 1, len(lines)) if lines[end].strip() == "```") + 1


def _end_of_block(lines: list[str], start: int) -> int:
    """Behind the last indented line; empty ones between two of them belong to the block."""
    end = start
    for number in range(start, len(lines)):
        if lines[number].startswith("    "):
            end = number + 1
        elif lines[number].strip():
            break
    return end


def _fenced(lines: list[str], start: int, end: int, headings: tuple[str, ...]) -> Iterator[Step]:
    before = start
    while before and lines[before - 1].strip() == "":
        before -= 1
    paragraph = " ".join(lines[max(before - 2, 0) : before])
    target = _TARGET.search(paragraph)
    if target:
        text = "".join(f"{line}\n" for line in lines[start + 1 : end - 1])
        yield Text(start + 1, headings, target["path"], text, is_appended=target["verb"].lower() != "write")


def _typed(block: list[str], first: int, headings: tuple[str, ...]) -> Iterator[Step]:
    has_prompts = _PROMPT.fullmatch(block[0]) is not None
    command: Command | None = None
    shown: list[str] = []
    lines = iter(enumerate(block, first))
    for number, line in lines:
        prompt = _PROMPT.fullmatch(line) if has_prompts else None
        if has_prompts and not prompt:
            shown.append(line)
        elif line.strip():
            if command:
                yield _with_output(command, shown)
            text = _whole(prompt["rest"] if prompt else line, lines)
            command, shown = Command(number, headings, text, prompt["prompt"] if prompt else ""), []
    if command:
        yield _with_output(command, shown)


def _whole(line: str, following: Iterator[tuple[int, str]]) -> str:
    """The command that begins with this line, with the lines behind it that are its own."""
    here = _HERE_DOCUMENT.search(line)
    lines = [line if here else _COMMENT.sub("", line)]
    while here and lines[-1].strip() != here["end"]:
        lines.append(next(following)[1])
    while not here and lines[-1].endswith("\\"):
        lines.append(_COMMENT.sub("", next(following)[1]))
    return "\n".join(lines)


def _with_output(command: Command, shown: list[str]) -> Command:
    status = _STATUS.fullmatch(shown[-1].strip()) if shown else None
    if status:
        shown = shown[:-1]
    return replace(command, output="\n".join(shown) if shown else None, status=int(status["status"]) if status else 0)
