import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from submission.config.text import shown, toml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.recursive(TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(), st.lists, max_leaves=5))
def test_a_value_reads_back_and_is_one_printable_line(value: object) -> None:
    text = shown(value)
    assert text.isprintable()
    assert repr(tomllib.loads(f"value = {text}")["value"]) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"), [(None, '""'), (Path("/x"), '"/x"'), ({"a": 1}, "{…}"), ((1, "a"), '[1, "a"]')]
)
def test_what_toml_has_no_type_for(value: object, text: str) -> None:
    assert shown(value) == text


class Inner(BaseModel):
    a: int = 1


class Middle(BaseModel):
    inner: Inner = Inner()
    b: str = "b"


class Outer(BaseModel):
    middle: Middle = Middle()
    several: tuple[Middle, ...] = (Middle(), Middle(b="c"))
    none: tuple[Middle, ...] = ()
    last: bool = True


def test_keys_come_before_the_tables_below_them() -> None:
    assert toml(Outer()) == (
        'none = []\nlast = true\n\n[middle]\nb = "b"\n\n[middle.inner]\na = 1\n'
        '\n[[several]]\nb = "b"\n\n[several.inner]\na = 1\n\n[[several]]\nb = "c"\n\n[several.inner]\na = 1\n'
    )
    assert tomllib.loads(toml(Outer())) == Outer().model_dump(mode="json")
