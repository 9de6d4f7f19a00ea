"""Who may send without AUTH, as the sessions ask; the rules themselves are tests/core/test_admission.py's."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

import pytest

from submission.config import load
from submission.core import replies
from submission.core.addresses import Login, Mailbox
from submission.core.admission import Admission
from submission.core.grants import Grant
from submission.core.transaction import Identity, Via
from submission.smtp import admission
from submission.smtp.admission import Admissions, open_admissions
from submission.state import StateUnavailableError, Transaction
from submission.state.grants import GrantTable
from submission.state.sqlite import SqliteState

T = TypeVar("T")
OPEN = Admission("example.com", static=(ip_network("0.0.0.0/0"),))
JOE = Login("joe", "example.com")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[GrantTable]:
    state = SqliteState(tmp_path / "state.db")
    yield GrantTable(state)
    state.close()


def opened(folder: Path, table: GrantTable, text: str = "", enabled: str = "true") -> Admissions:
    path = folder / "submission.toml"
    path.write_text(
        f'hostname = "mail.example.com"\n[auth]\nrealm = "example.com"\n[[listen]]\naddress = "127.0.0.1:1"\n'
        f'tls = "none"\n[pop_before_smtp]\nenabled = {enabled}\n{text}'
    )
    return open_admissions(load(path), table)


def grant(address: str = "192.0.2.50") -> Grant:
    now = time.time()
    return Grant(address, str(JOE), "pop3", "dovecot", now, now, now + 600)


async def test_nobody_may_where_nothing_is_set(table: GrantTable) -> None:
    table.record([grant()])
    for admissions in (Admissions(), Admissions(OPEN), Admissions(None, table, ["localhost"])):
        await admissions.look_up()
        assert await admissions.identify("192.0.2.50") is None
        assert admissions.recall("192.0.2.50") is None


async def test_nothing_is_noted_where_there_is_no_table() -> None:
    admissions = Admissions()
    admissions.note_message(Identity(Via.POP, JOE))
    admissions.note_authentication(JOE)
    await admissions.settle()


async def test_nobody_may_where_it_is_not_enabled_whatever_is_set(tmp_path: Path, table: GrantTable) -> None:
    admissions = opened(tmp_path, table, 'static = ["192.0.2.0/24"]\nrelay_domains = ["example.org"]\n', "false")
    table.record([grant()])
    assert await admissions.identify("192.0.2.50") is None
    assert admissions.recall("192.0.2.50") is None


async def test_who_has_read_mail_may_as_himself(tmp_path: Path, table: GrantTable) -> None:
    admissions = opened(tmp_path, table)
    table.record([grant()])
    assert await admissions.identify("192.0.2.50") == Identity(Via.POP, JOE)
    assert admissions.recall("192.0.2.50") == Identity(Via.POP, JOE)
    assert await admissions.identify("192.0.2.51") is None
    assert await admissions.identify("") is None


def test_to_whom_is_the_lists_word_where_there_are_any(tmp_path: Path, table: GrantTable) -> None:
    admissions, anybody = opened(tmp_path, table, 'relay_domains = ["example.org"]\n'), Identity(Via.RELAY, None)
    inside, outside = (Mailbox(b"bob@" + domain, b"bob", domain) for domain in (b"example.org", b"remote.example"))
    assert admissions.refuse_recipient(anybody, inside) is None
    assert admissions.refuse_recipient(anybody, outside) is replies.RELAYING_DENIED
    assert Admissions().refuse_recipient(anybody, outside) is None


async def test_static_hosts_by_name_count_once_their_addresses_are_known(
    tmp_path: Path, table: GrantTable, logged: Callable[[], list[dict[str, object]]]
) -> None:
    admissions = opened(tmp_path, table, 'static = ["192.0.2.0/24", "localhost", "no-such-host.invalid"]\n')
    assert await admissions.identify("127.0.0.1") is None
    await admissions.look_up()
    assert await admissions.identify("127.0.0.1") == Identity(Via.STATIC, None)
    assert await admissions.identify("192.0.2.1") == Identity(Via.STATIC, None)
    (unknown,) = (event for event in logged() if event["event"] == "static-unknown")
    assert unknown["host"] == "no-such-host.invalid"
    assert not str(unknown["reason"]).startswith("[")  # the words for it, without the number


async def test_static_hosts_are_looked_up_when_it_is_time(
    tmp_path: Path, table: GrantTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    admissions = opened(tmp_path, table, 'static = ["printer.example"]\n')
    asked = []

    def resolve(name: str, *_: object, **__: object) -> list[object]:
        asked.append(name)
        return [(0, 0, 0, "", ("fe80::1%1", 0, 0, 1)), (0, 0, 0, "", ("192.0.2.9", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for _ in range(3):
        await admissions.look_up()
    assert asked == ["printer.example"]
    for address in ("fe80::1%1", "fe80::1", "192.0.2.9"):
        assert await admissions.identify(address) == Identity(Via.STATIC, None)
    assert await admissions.identify("fe80::2%1") is None
    monkeypatch.setattr(admission, "LOOKUP", -1.0)
    admissions._due = 0.0
    for _ in range(3):
        await admissions.look_up()
    assert asked == ["printer.example"] * 4


async def test_what_a_name_meant_stays_while_it_cannot_be_found(
    tmp_path: Path, table: GrantTable, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], list[dict[str, object]]]
) -> None:
    admissions = opened(tmp_path, table, 'static = ["localhost"]\n')
    await admissions.look_up()

    def fail(name: str) -> frozenset[object]:
        raise OSError("no name server")

    monkeypatch.setattr(admission, "_addresses", fail)
    monkeypatch.setattr(admission, "LOOKUP", 0.0)
    admissions._due = 0.0
    await admissions.look_up()
    assert await admissions.identify("127.0.0.1") == Identity(Via.STATIC, None)
    assert logged()[-1]["reason"] == "no name server"


async def test_what_retires_it_is_noted(tmp_path: Path, table: GrantTable) -> None:
    admissions = opened(tmp_path, table)
    table.record([grant()])
    admissions.note_message(Identity(Via.POP, JOE))
    admissions.note_message(Identity(Via.AUTH, JOE))
    admissions.note_message(Identity(Via.STATIC, None))
    await admissions.settle()
    (reliance,) = table.reliances()
    assert (reliance.messages, reliance.authenticated) == (1, 0)
    admissions.note_authentication(JOE)
    admissions.note_authentication(Login("eve", "example.com"))
    await admissions.settle()
    (reliance,) = table.reliances()
    assert reliance.authenticated > 0
    assert not admissions._noting  # or it would grow with every message


class Slow(SqliteState):
    """A state that another process has locked."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.may_write = threading.Event()

    def change(self, change: Callable[[Transaction], T]) -> T:
        """As soon as it may."""
        assert self.may_write.wait(20)
        return super().change(change)


async def test_who_asks_does_not_wait_for_what_is_noted(tmp_path: Path, table: GrantTable) -> None:
    table.record([grant()])
    state = Slow(tmp_path / "state.db")
    admissions = opened(tmp_path, GrantTable(state))
    for _ in range(100):  # more than there are threads
        admissions.note_message(Identity(Via.POP, JOE))
    await asyncio.sleep(0)
    assert await asyncio.wait_for(admissions.identify("192.0.2.50"), 10) == Identity(Via.POP, JOE)
    state.may_write.set()
    await admissions.settle()
    assert table.reliances()[0].messages == 100
    state.close()


class Broken(SqliteState):
    """A state that nothing can be written to."""

    def change(self, change: Callable[[Transaction], T]) -> T:
        """Never."""
        raise StateUnavailableError("disk is full")


async def test_what_cannot_be_noted_is_in_the_log(
    tmp_path: Path, logged: Callable[[], list[dict[str, object]]]
) -> None:
    state = Broken(tmp_path / "state.db")
    admissions = opened(tmp_path, GrantTable(state))
    admissions.note_message(Identity(Via.POP, JOE))
    await admissions.settle()
    assert [line["event"] for line in logged()] == ["state-unavailable"]
    state.close()


async def test_a_balancer_has_no_grant_whoever_logged_in_through_it(tmp_path: Path, table: GrantTable) -> None:
    listener = '[[listen]]\naddress = "127.0.0.1:2"\ntls = "none"\nproxy_protocol = ["192.0.2.50"]\n'
    admissions = opened(tmp_path, table, listener)
    table.record([grant(), grant("192.0.2.51")])
    assert await admissions.identify("192.0.2.50") is None
    assert await admissions.identify("192.0.2.51") == Identity(Via.POP, JOE)


async def test_a_disabled_account_has_no_grant_but_what_its_address_has_anyway(
    tmp_path: Path, table: GrantTable
) -> None:
    async def is_shut_out(login: Login) -> bool:
        assert isinstance(login, Login)  # who has none is not asked about
        return login == JOE

    opened(tmp_path, table, 'static = ["192.0.2.51"]\n')
    admissions = open_admissions(load(tmp_path / "submission.toml"), table, is_shut_out)
    assert await admissions.identify("192.0.2.51") == Identity(Via.STATIC, None)
    eve = Login("eve", "example.com")
    table.record([grant(), grant("192.0.2.51"), replace(grant("192.0.2.52"), user=str(eve))])
    assert await admissions.identify("192.0.2.50") is None
    assert await admissions.identify("192.0.2.51") == Identity(Via.STATIC, None)
    assert await admissions.identify("192.0.2.52") == Identity(Via.POP, eve)
