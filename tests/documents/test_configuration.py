"""docs/configuration.md, followed on a host with certbot's folders, where alice has sent a message under a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents.serving import send, serving
from tests.support.host import NAME, Host
from tests.support.walk import Walk

DOCUMENT = Path(__file__).parents[2] / "docs/configuration.md"
LIMITS = """
[limits.user]
messages_per_hour = 100
messages_per_day = 500
"""
CERTBOT = f"""
install -d -m 0700 /etc/letsencrypt/live /etc/letsencrypt/archive
install -d -m 0755 /etc/letsencrypt/live/{NAME} /etc/letsencrypt/archive/{NAME}
cd /etc/letsencrypt/archive/{NAME}
cp /etc/ssl/{NAME}/fullchain.pem fullchain1.pem
install -m 0600 /etc/ssl/{NAME}/privkey.pem privkey1.pem
for name in fullchain privkey; do
  ln -s ../../archive/{NAME}/${{name}}1.pem /etc/letsencrypt/live/{NAME}/$name.pem
done
"""


@pytest.mark.timeout(120)  # a minute is too little for a way so long, on a busy machine
def test_configuration(installed: Host) -> None:
    installed.do(CERTBOT)
    with serving(installed, LIMITS), Walk(installed, DOCUMENT) as walk:
        assert send(installed).status == 0
        walk.section("Certificates")
        walk.section("Limits")
    key = f"/etc/letsencrypt/live/{NAME}/privkey.pem"
    assert installed.run(f"runuser --user submission -- cat {key} > /dev/null").status == 0
    assert installed.run(f"runuser --user nobody -- cat {key} > /dev/null").status != 0
