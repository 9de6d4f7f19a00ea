"""The service between clients and a relay that fail, and what became of every message."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from submission.certificates import write_certificates
from tests.faults.outcomes import Ground, Relay
from tests.support.failing_client import PASSWORD, USER
from tests.support.failing_relay import FailingRelay
from tests.support.sendmail import Sendmail
from tests.support.server import Server, Settings, public_folder

LAST_WORDS = 40
"""Lines of the service's log that a failure is shown with."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the service said before a test failed: its processes may be gone by then."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Server):
        report.sections.append(("the service's log", "\n".join(server.log()[-LAST_WORDS:])))
    return report


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with public_folder() as path:
        yield path


@pytest.fixture(scope="module")
def failing_relay(folder: Path) -> Iterator[FailingRelay]:
    (folder / "relay").mkdir()
    write_certificates(folder / "relay", ["localhost"])
    with FailingRelay(folder / "relay") as relay:
        yield relay


class Deliveries:
    """A real sendmail, seen as a relay."""

    def __init__(self, sendmail: Sendmail) -> None:
        self._sendmail = sendmail
        self.address = sendmail.address

    def messages(self) -> dict[str, list[bytes]]:
        kept: dict[str, list[bytes]] = {}
        for delivery in self._sendmail.deliveries():
            name = delivery.sender.partition("@")[0]
            kept.setdefault(name, []).append(delivery.content.replace(b"\n", b"\r\n"))
        return kept


@pytest.fixture(scope="module", params=["failing_relay", "sendmail"])
def any_relay(request: pytest.FixtureRequest, folder: Path) -> Iterator[Relay]:
    """One after the other, for what has to be so with both."""
    if request.param == "sendmail":
        with Sendmail(folder / "sendmail") as sendmail:
            yield Deliveries(sendmail)
    else:
        yield request.getfixturevalue("failing_relay")


@pytest.fixture(scope="module")
def relay(failing_relay: FailingRelay) -> Relay:
    """A module may have another."""
    return failing_relay


@pytest.fixture(scope="module")
def settings() -> Settings:
    return {}


@pytest.fixture(scope="module")
def server(relay: Relay, settings: Settings) -> Iterator[Server]:
    with public_folder() as folder:
        server = Server(folder, relay.address, {"auth": {"require_tls": False}, **settings})
        server.add_user(USER, PASSWORD)
        with server:
            yield server


@pytest.fixture
def ground(server: Server, relay: Relay) -> Ground:
    return Ground(server, relay)
