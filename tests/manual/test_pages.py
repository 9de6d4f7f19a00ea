"""The pages tell of all that there is, and man finds nothing wrong with them."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from manual.configuration import below, docstrings
from manual.pages import make_pages
from manual.roff import bold
from submission.cli.main import commands
from submission.cli.passwd import passwd
from submission.config.settings import Settings
from tests.support import programs


@pytest.fixture(scope="module")
def pages() -> Mapping[str, str]:
    return make_pages("1.2.3")


def every_command(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from every_command(inner, f"{path} {name}")


def every_key(table: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel], str]]:
    for key, field in table.model_fields.items():
        inner = below(field)
        if inner is None:
            yield path, table, key
        else:
            yield from every_key(inner, f"{path}.{key}".lstrip("."))


def test_each_is_written_for_its_release(pages: Mapping[str, str]) -> None:
    assert set(pages) == {"submission.1", "submission-passwd.1", "submission.toml.5"}
    for text in pages.values():
        assert re.match(r'\.TH "[A-Z\\.-]+" [15] "" "submission\\-proxy 1\.2\.3"\n\.SH NAME\n', text)


@pytest.mark.parametrize("name", ["submission.1", "submission-passwd.1", "submission.toml.5"])
def test_man_has_nothing_to_warn_of(pages: Mapping[str, str], name: str) -> None:
    programs.require("groff")
    command = ["groff", "-man", "-ww", "-z"]
    result = subprocess.run(command, input=pages[name], capture_output=True, text=True, timeout=30)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "command", "path"),
    [("submission.1", commands, "submission"), ("submission-passwd.1", passwd, "submission-passwd")],
)
def test_every_command_and_option_is_there(
    pages: Mapping[str, str], name: str, command: click.Command, path: str
) -> None:
    for words, inner in every_command(command, path):
        assert bold(words) in pages[name]
        for parameter in inner.params:
            if isinstance(parameter, click.Option):
                assert bold(parameter.opts[0])[:-3] in pages[name]
    assert pages[name].count("Show this message and exit") == 1


def test_every_key_is_there_below_its_table(pages: Mapping[str, str]) -> None:
    parts = dict(re.findall(r'\.SS "\[*([^]"]*)\]*"\n(.*?)(?=\n\.S[SH] )', pages["submission.toml.5"], re.DOTALL))
    for path, _, key in every_key(Settings):
        assert re.search(rf"^{re.escape(bold(key))}( |$)", parts[path or "Before any table"], re.MULTILINE), (path, key)


def test_a_key_has_its_default_what_is_allowed_and_its_docstring(pages: Mapping[str, str]) -> None:
    text = pages["submission.toml.5"]
    assert "\n.TP\n\\fBuser\\fR = \\(dqsubmission\\(dq\nWhat root becomes once everything is bound and read.\n" in text
    assert "Allowed: \\(dqstarttls\\(dq, \\(dqimplicit\\(dq, \\(dqnone\\(dq.\n" in text
    assert "\n\\fBaddress\\fR (required)\n" in text
    assert "\n\\fBhostname\\fR\n" in text  # which is another on each host


def test_texts_come_from_the_source() -> None:
    class Base(BaseModel):
        first: int = 1
        """Not the product's."""

    assert docstrings(Base) == {}
    assert docstrings(Settings)["user"] == "What root becomes once everything is bound and read."
    assert "listen" not in docstrings(Settings)


def test_it_is_a_program(tmp_path: Path) -> None:
    from manual.__main__ import main

    main(tmp_path / "man", "1.0")
    assert {file.name for file in (tmp_path / "man").iterdir()} == set(make_pages("1.0"))
