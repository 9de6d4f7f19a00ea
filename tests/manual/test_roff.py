import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manual.roff import Page, bold, prose, quote
from tests.support import programs

HOSTILE = [".so /etc/passwd", "'br", r"\fB", "\\", '"', "-c -- -", "`x`", "café → ✓", "…", "a\tb", "\\n(", ".", "^~"]


def rendered(page: Page) -> str:
    """What a reader sees, without line breaks; a warning of groff's is a failure."""
    programs.require("groff")
    command = ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=1000n"]
    result = subprocess.run(command, input=str(page).encode("ascii"), capture_output=True, timeout=30, check=True)
    assert result.stderr == b""
    return " ".join(result.stdout.decode().split())


def page_with(text: str) -> Page:
    page = Page("name", 1, "1.0", "purpose")
    page.section("SECTION")
    page.paragraphs(text)
    page.item(bold(text), text)
    page.subsection(bold(text))
    page.synopsis([quote(text)])
    return page


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_set_as_it_is(text: str) -> None:
    shown = rendered(page_with(text))
    assert " ".join(text.replace("`x`", "x").split()) in shown


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=50))
def test_no_line_is_a_request_and_all_of_it_is_ascii(text: str) -> None:
    for line in (quote(text), prose(text), bold(text)):
        assert line.isascii()
        assert not line.startswith((".", "'"))


def test_code_is_bold() -> None:
    assert prose("run `submission check -c` now") == r"run \fBsubmission check \-c\fR now"


def test_paragraphs_are_filled_unless_they_are_not_to_be() -> None:
    shown = str(page_with("first\nof all\n\n\b\na  table\n.of lines\n\nlast"))
    assert "\nfirst of all\n" in shown
    assert "\n.nf\na  table\n\\&.of lines\n.fi\n" in shown
