"""sendmail's own port 25 lets those relay whom the service's table has: asked at each recipient, or by a file."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator

import pytest

from tests.sendmail.test_socketmap import reply_to_recipient
from tests.support import programs
from tests.support.granting import pop
from tests.support.network import wait_until
from tests.support.sendmail import MAKEMAP, Sendmail
from tests.support.server import USER, Server, public_folder

ABROAD, LOCAL = "bob@elsewhere.example", "alice@test.example"
HERE, THERE = "127.0.0.8", "127.0.0.9"


@pytest.fixture(params=["socketmap", "text_map", "access_map"])
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Server, Sendmail]]:
    """The service, and a sendmail that has its table in one of the ways."""
    programs.require_file(MAKEMAP, "sendmail")
    with public_folder() as folder:
        (folder / "bin").mkdir()
        shutil.copy(MAKEMAP, folder / "bin")  # sendmail may have been unpacked where the service doesn't get
        monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        maps = folder / "maps"
        maps.mkdir(0o755)
        path = maps / "table"
        ways = {
            "socketmap": {"popip": f"socket -T<TMPF> local:{path}"},
            "text_map": {"popip": f"text -T<TMPF> -k0 -v1 -z| {path}"},
            "access_map": {"access": f"hash -T<TMPF> {path}"},
        }
        pop_before_smtp = {"enabled": True, "logs": [], "sendmail": {request.param: str(path)}}
        (folder / "server").mkdir()
        if os.geteuid() == 0:
            shutil.chown(maps, USER)
        path.with_name("table.static").write_text("Connect:127.0.0.7\tRELAY\n")
        server = Server(folder / "server", "127.0.0.1:9", {"pop_before_smtp": pop_before_smtp})
        with server, Sendmail(folder / "sendmail", **ways[request.param]) as sendmail:
            yield server, sendmail


def test_it_relays_within_a_second_of_a_grant_and_no_longer_than_that_is_good(
    pair: tuple[Server, Sendmail],
) -> None:
    server, sendmail = pair

    def ask(address: str, recipient: str) -> int:
        return reply_to_recipient(sendmail.port, address, recipient)[0]

    assert ask(HERE, ABROAD) == 550
    pop(server, "add", "--for", "6s", HERE, "joe")
    begin = time.monotonic()
    wait_until(lambda: ask(HERE, ABROAD) == 250)
    print(f"relays after {time.monotonic() - begin:.2f} s")
    assert time.monotonic() - begin < 5  # a second, and the rest for a machine that is busy
    assert ask(THERE, ABROAD) == 550
    wait_until(lambda: ask(HERE, ABROAD) == 550)
    assert time.monotonic() - begin > 4
    pop(server, "add", HERE, "joe")
    wait_until(lambda: ask(HERE, ABROAD) == 250)
    server.stop()
    assert ask(HERE, ABROAD) in (451, 550)
    assert ask(HERE, LOCAL) == 250
    assert ask("127.0.0.1", ABROAD) == 250  # this host's own mail goes out whether the service runs or not
