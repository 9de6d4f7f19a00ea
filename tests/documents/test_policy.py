"""docs/policy.md, followed by an admin who wants to be told of a user's limit by syslog."""

from __future__ import annotations

from pathlib import Path

from tests.documents.serving import send, serving
from tests.support import programs
from tests.support.host import Host
from tests.support.network import wait_until
from tests.support.walk import Walk

DOCUMENT = Path(__file__).parents[2] / "docs/policy.md"
LIMITS = """
[limits.user]
messages_per_hour = 1
alert = ["/usr/local/sbin/tell-postmaster"]
"""


def test_the_postmaster_is_told(installed: Host) -> None:
    programs.require("logger")
    with Walk(installed, DOCUMENT) as walk:
        walk.section("Limits")
    with serving(installed, LIMITS):
        assert send(installed).status == 0
        assert "450 4.7.1 Limit of 1 messages per hour reached" in send(installed).output
        told = "submission: alice@example.com has reached messages_per_hour"
        wait_until(lambda: told in installed.path("/var/log/mail.log").read_text("utf-8", "replace"))
