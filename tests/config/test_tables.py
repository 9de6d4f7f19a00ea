import pytest

from submission.config.tables import CrossCheckError, Table, unless


class Example(Table):
    number: int = 1


def test_tables_are_strict_and_do_not_change() -> None:
    for wrong in ({"number": "1"}, {"nummer": 1}):
        with pytest.raises(ValueError):
            Example.model_validate(wrong)
    with pytest.raises(ValueError, match="frozen"):
        Example().number = 2  # type: ignore[misc]


def test_unless_there_are_faults() -> None:
    assert unless({}, "value") == "value"
    with pytest.raises(CrossCheckError) as caught:
        unless({"a.b": "is wrong"}, "value")
    assert caught.value.texts == {"a.b": "is wrong"}
