"""docs/configuration.md, followed on a host with certbot's folders, where alice has sent a message under a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import programs
from tests.support.host import NAME, Host, end
from tests.support.network import wait_until
from tests.support.walk import Walk

DOCUMENT = Path(__file__).parents[2] / "docs/configuration.md"
LIMITS = """
[limits.user]
messages_per_hour = 100
messages_per_day = 500
"""
SET_UP = f"""
install -d -m 0700 /etc/letsencrypt/live /etc/letsencrypt/archive
install -d -m 0755 /etc/letsencrypt/live/{NAME} /etc/letsencrypt/archive/{NAME}
cd /etc/letsencrypt/archive/{NAME}
cp /etc/ssl/{NAME}/fullchain.pem fullchain1.pem
install -m 0600 /etc/ssl/{NAME}/privkey.pem privkey1.pem
for name in fullchain privkey; do
  ln -s ../../archive/{NAME}/${{name}}1.pem /etc/letsencrypt/live/{NAME}/$name.pem
done
printf secret | submission-passwd -c -p alice
"""
MESSAGE = (
    f"swaks --server {NAME}:587 --tls --auth-user alice --auth-password secret"
    " --from alice@example.com --to you@example.org"
)


@pytest.mark.timeout(120)  # a minute is too little for a way so long, on a busy machine
def test_configuration(installed: Host) -> None:
    programs.require("swaks")
    with installed.path("/etc/submission/submission.toml").open("a") as file:
        file.write(LIMITS)
    installed.do(SET_UP)
    process = installed.start("exec submission serve", output=installed.folder / "serve")
    wait_until(lambda: "ready" in (installed.folder / "serve").read_text().splitlines())
    try:
        assert installed.run(MESSAGE, from_client=True).status == 0
        with Walk(installed, DOCUMENT) as walk:
            walk.section("Certificates")
            walk.section("Limits")
    finally:
        end(process)
    key = f"/etc/letsencrypt/live/{NAME}/privkey.pem"
    assert installed.run(f"runuser --user submission -- cat {key} > /dev/null").status == 0
    assert installed.run(f"runuser --user nobody -- cat {key} > /dev/null").status != 0
