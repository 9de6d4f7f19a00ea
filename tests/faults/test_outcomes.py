"""What must not happen has no word, whatever the tables say."""

from __future__ import annotations

import pytest

from tests.faults.outcomes import name_outcome
from tests.support.failing_client import Plan, compose

PLAN = Plan(0, "somebody")
WHOLE = compose(PLAN.name, PLAN.size)


@pytest.mark.parametrize(
    ("was_heard", "kept", "results"),
    [
        (True, [], ["ok"]),  # lost
        (True, [WHOLE, WHOLE], ["ok"]),
        (True, [WHOLE[:-100]], ["ok"]),
        (True, [WHOLE.replace(b"\r\n..\r\n", b"\r\n.\r\n")], ["ok"]),
        (True, [compose("somebody else", PLAN.size)], ["ok"]),
        (True, [WHOLE], ["refused"]),
        (True, [WHOLE], ["unknown"]),
        (True, [WHOLE], []),
        (True, [WHOLE], ["ok", "ok"]),
        (False, [WHOLE], ["refused"]),  # made up
        (False, [WHOLE[:-100]], ["refused"]),
        (False, [], ["ok"]),
        (False, [], ["refused", "unknown"]),
    ],
)
def test_it_is_a_fault(was_heard: bool, kept: list[bytes], results: list[str]) -> None:
    assert name_outcome(PLAN, was_heard, kept, results).startswith("fault: ")


@pytest.mark.parametrize(
    ("was_heard", "kept", "results", "word"),
    [
        (True, [WHOLE], ["ok"], "taken"),
        (False, [WHOLE], ["ok"], "unheard"),
        (False, [], ["refused"], "refused"),
        (False, [], [], "nothing"),
        (False, [], ["unknown"], "unknown"),
        (False, [WHOLE], ["unknown"], "unknown"),
        (False, [WHOLE], [], "untold"),
    ],
)
def test_it_has_a_word(was_heard: bool, kept: list[bytes], results: list[str], word: str) -> None:
    assert name_outcome(PLAN, was_heard, kept, results) == word
