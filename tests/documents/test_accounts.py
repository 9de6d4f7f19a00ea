"""docs/accounts.md, followed on a host without accounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.host import Host
from tests.support.recipe import Command, read_recipe
from tests.support.walk import Walk

DOCUMENT = Path(__file__).parents[2] / "docs/accounts.md"
PASSWORD = "correct horse"
# As Debian's package leaves it, with a user of sendmail's own AUTH.
SASLDB2 = """
printf secret | submission-passwd -c -p -u example.com -f sasldb2:/etc/sasldb2 erin
chown root:sasl /etc/sasldb2
chmod 0660 /etc/sasldb2
"""


@pytest.mark.timeout(180)  # a minute is too little for a way so long, on a busy machine
def test_accounts(installed: Host) -> None:
    installed.do(f"rm -f /etc/sasldb2; {SASLDB2}")
    commands = {step.text for step in read_recipe(DOCUMENT) if isinstance(step, Command)}
    asking = {text for text in commands if text.startswith(("submission-passwd", "submission user verify"))}
    with Walk(installed, DOCUMENT, answers=dict.fromkeys(asking, f"{PASSWORD}\n")) as walk:
        walk.section("Accounts")
