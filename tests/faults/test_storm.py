"""A short storm; `make faults` is the long one. What it draws is new each time, and its seed is in what it tells."""

from __future__ import annotations

import secrets

from tests.faults.storm import storm

MESSAGES = 200


def test_the_sums_agree() -> None:
    report = storm(MESSAGES, secrets.token_hex(4))
    assert not report.faults, report
    assert report.words.total() == MESSAGES
    assert report.words["taken"], report
