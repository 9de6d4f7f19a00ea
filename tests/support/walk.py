"""Follows a document as its reader would, on a host of its own, and misses nothing.

    with host(folder) as there, Walk(there, Path("docs/migration/exim.md")) as walk:
        walk.section("Before")
        assert ...                      # whatever the reader should see by now
        walk.section("Steps")
        walk.section("How to roll back in a minute")

`section` types the commands of a section and of those below it, in order, and writes its files (recipe.py says how a
document tells them apart). A command that ends otherwise than the document says, or prints something else, fails.
Whoever leaves the walk with a command or a file of the document not done fails, too, so that a document and its test
can't part: a section that isn't walked, or a command added later, is noticed.

Commands that only look, such as grep, are repeated until they show what they should, as a reader would look again: logs
are written by others, in their own time.

What a test may say of certain commands, each by its text, as the document has it but for comments:

- `answers`: what is typed at the prompts of a program;
- `lasting`: a program that stays in the foreground; the walk goes on when it has printed the line that is given here,
  and ends it in the end;
- `awaited`: what takes a moment to become true. It is typed again until it ends and prints as the document says;
- `omitted`: what can't be done here, and why not. It is an error to omit what isn't there.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Self

from tests.support.host import Host, end
from tests.support.network import PATIENCE, wait_until
from tests.support.recipe import Command, Step, Text, is_as_shown, read_recipe

_LOOKS = re.compile(r"(?:grep|journalctl|ss|tail) ")

# The reader's shell stays in the folder that a command has left it in, and begins in root's home.
_THERE = """cd "$(cat /run/walk-folder 2>/dev/null || echo /root)"\n"""
_TYPED = f"{_THERE}trap 'pwd > /run/walk-folder' EXIT\n"


class StepError(AssertionError):
    """The document and the world don't agree."""


class Walk:
    """One reader's way through one document; `with` sees that nothing of it was left out."""

    def __init__(
        self,
        host: Host,
        document: Path,
        *,
        answers: Mapping[str, str] | None = None,
        lasting: Mapping[str, str] | None = None,
        awaited: Collection[str] = (),
        omitted: Mapping[str, str] | None = None,
    ) -> None:
        self._host = host
        self._document = document
        self._answers, self._lasting, self._omitted = answers or {}, lasting or {}, omitted or {}
        self._awaited = awaited
        self._steps = read_recipe(document)
        self._left = list(self._steps)
        self._processes: list[subprocess.Popen[bytes]] = []
        commands = {step.text for step in self._steps if isinstance(step, Command)}
        unknown = {*self._answers, *self._lasting, *self._awaited, *self._omitted} - commands
        if unknown:
            raise StepError(f"{document} has no such commands: {sorted(unknown)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for process in self._processes:
            end(process)
        left = [step for step in self._left if not self._is_omitted(step)]
        if kind is None and left:
            raise StepError("\n".join(["nobody has done:", *(self._describe(step) for step in left)]))

    def section(self, title: str) -> None:
        """Do all that the section says, and those below it."""
        steps = [step for step in self._steps if title in step.headings]
        if not steps:
            raise StepError(f"{self._document} tells nobody to do anything under {title!r}")
        for step in steps:
            if self._is_omitted(step):
                continue
            if isinstance(step, Text):
                self._write(step)
            else:
                self._type(step)
            self._left.remove(step)

    def _is_omitted(self, step: Step) -> bool:
        return isinstance(step, Command) and step.text in self._omitted

    def _write(self, step: Text) -> None:
        path = self._host.path(step.path)
        if not path.parent.is_dir():
            raise StepError(f"{self._describe(step)}: there is no such folder")
        with path.open("a" if step.is_appended else "w") as file:
            file.write(step.text)

    def _type(self, step: Command) -> None:
        if step.text in self._lasting:
            self._begin(step, self._lasting[step.text])
            return
        is_repeated = _LOOKS.match(step.text) or step.text in self._awaited
        end = time.monotonic() + (PATIENCE if is_repeated else 0)
        while fault := self._try(step):
            if time.monotonic() > end:
                raise StepError(f"{self._describe(step)}\n{fault}")
            time.sleep(0.1)  # between looks

    def _try(self, step: Command) -> str:
        """Type a command; what was wrong with it, or nothing."""
        script = f"{_TYPED}eval {shlex.quote(step.text)}"
        result = self._host.run(script, stdin=self._answers.get(step.text), from_client=step.prompt == "$")
        if result.status != step.status:
            return f"ended with {result.status}, and printed:\n{result.output}"
        if step.output is not None and not is_as_shown(step.output, result.output):
            return f"should print:\n{step.output}\nand printed:\n{result.output}"
        return ""

    def _begin(self, step: Command, sign: str) -> None:
        output = self._host.folder / f"lasting-{len(self._processes)}"
        process = self._host.start(f"{_THERE}exec {step.text}", output=output)
        self._processes.append(process)
        wait_until(
            lambda: process.poll() is not None or sign in output.read_text("utf-8", "replace").splitlines(),
            patience=3 * PATIENCE,  # as much as a command has that ends
        )
        if process.poll() is not None:
            raise StepError(f"{self._describe(step)}\nended at once, and printed:\n{output.read_text()}")

    def _describe(self, step: Step) -> str:
        what = step.text if isinstance(step, Command) else f"write {step.path}"
        return f"{self._document}:{step.line}: {what}"
