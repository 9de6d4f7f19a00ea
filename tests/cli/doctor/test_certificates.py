"""One service with a certificate of each kind that clients have something against, by the names that they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from submission.certificates import make_authority, make_server_certificate
from submission.cli.doctor.certificates import CHAIN, DATES, NAMES, OLD, RENEWAL, try_tls
from submission.cli.doctor.doors import Door, find_doors
from submission.cli.doctor.verdict import Verdict
from submission.config import Settings, load
from tests.cli.doctor.conftest import Installation
from tests.support.authority import Authority
from tests.support.server import HOSTNAME, Server, public_folder

SERVED = {
    "old.example.com": ("old.example.com", -400),
    "soon.example.com": ("soon.example.com", -360),
    "early.example.com": ("early.example.com", 3),
    "other.example.com": ("another.example.org", 0),
    "*.wild.example.com": ("any.wild.example.com", 0),
}
"""What clients ask for, and what they get: whom the certificate is for, and the days from now on that it begins."""


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def settings(authority: Authority) -> Iterator[Settings]:
    """Those of the service, which takes every version of TLS, with one of its listeners."""
    entries = [
        {"name": name, "certificate": f"{served}.pem", "key": f"{served}.key"} for name, (served, _) in SERVED.items()
    ]
    with public_folder() as folder:
        server = Server(folder, "127.0.0.1:9", {"tls": {"minimum": "1.0", "sni": entries}})
        for served, days in SERVED.values():
            authority.issue(folder, served, days=days)
        (folder / "authorities.pem").write_bytes(authority.pem + server.certificate_authority.read_bytes())
        with server, pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(folder / "authorities.pem"))
            loaded = load(server.configuration)
            listen = next(each for each in loaded.listen if each.tls == "implicit" and not each.proxy_protocol)
            yield loaded.model_copy(update={"listen": (listen,)})


def door(settings: Settings) -> Door:
    (found,) = find_doors(settings.listen[0], settings.hostname)
    return found


def rows(verdicts: list[Verdict], *names: str) -> list[tuple[str, str, str]]:
    """Outcome, what was tried and what was found, of what is about these names."""
    return [
        (verdict.outcome.value, verdict.tried, verdict.text)
        for verdict in verdicts
        if any(f"for {name}" in verdict.text for name in names)
    ]


@pytest.fixture(scope="module")
def verdicts(settings: Settings) -> list[Verdict]:
    return list(try_tls(door(settings), settings))


@pytest.mark.parametrize(
    ("name", "tried", "text"),
    [
        ("old.example.com", DATES, "FAILED for old.example.com: expired at "),
        ("soon.example.com", DATES, "warning for soon.example.com: expires in 4 days; renew it"),
        ("early.example.com", DATES, "FAILED for early.example.com: not good before "),
        ("other.example.com", NAMES, "FAILED for another.example.org, not for other.example.com, as which"),
        ("any.wild.example.com", NAMES, "ok for any.wild.example.com"),
    ],
)
def test_what_clients_have_against_a_certificate(verdicts: list[Verdict], name: str, tried: str, text: str) -> None:
    found = rows(verdicts, name)
    assert {row[1] for row in found} == {NAMES, DATES, CHAIN, RENEWAL}
    (told,) = (f"{outcome} {words}" for outcome, what, words in found if what == tried)
    assert told.startswith(text)
    assert {outcome for outcome, what, _ in found if what != tried} == {"ok"}, "its other verdicts don't suffer"


def test_a_good_certificate(verdicts: list[Verdict], settings: Settings) -> None:
    assert rows(verdicts, HOSTNAME) == [
        ("ok", NAMES, f"for {HOSTNAME}"),
        ("ok", DATES, f"for {HOSTNAME}: good for 364 days"),
        ("ok", CHAIN, f"for {HOSTNAME}: this system's authorities vouch for it"),
        ("ok", RENEWAL, f"for {HOSTNAME}: that of {settings.tls.certificate}"),
    ]


def test_a_renewal_that_was_not_taken(installation: Installation) -> None:
    """Its key has not been renewed with it, so the service goes on with what it has."""
    now = datetime.now(UTC)
    installation.put("server.pem", make_server_certificate(make_authority("x", now), [HOSTNAME], now).pem)
    found, settings = installation.door("implicit")
    (verdict,) = (each for each in try_tls(found, settings) if each.tried == RENEWAL)
    assert verdict.outcome.value == "warning"
    assert f"{installation.folder}/server.pem holds another, good until " in verdict.text


def test_an_authority_that_this_system_does_not_know(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    outcomes = {verdict.outcome.value for verdict in try_tls(door(settings), settings) if verdict.tried == CHAIN}
    assert outcomes == {"warning"}


@pytest.mark.parametrize(
    ("minimum", "text"),
    [
        ("1.0", "ok TLS 1.0 is the lowest there is"),
        ("1.1", "FAILED TLS 1.0 is taken, though tls_minimum is 1.1; restart it if that is new"),
        ("1.2", "FAILED TLS 1.0 is taken, though tls_minimum is 1.2; restart it if that is new"),
    ],
)
def test_old_versions_that_are_taken_in_earnest(settings: Settings, minimum: str, text: str) -> None:
    """OpenSSL really speaks TLS 1.0 here: where it is refused, it is not for want of a client."""
    listen = settings.listen[0].model_copy(update={"tls_minimum": minimum})
    tried = settings.model_copy(update={"listen": (listen,)})
    (verdict,) = (each for each in try_tls(door(tried), tried) if each.tried == OLD)
    assert f"{verdict.outcome.value} {verdict.text}" == text


def test_old_versions_that_are_refused(installation: Installation) -> None:
    found, settings = installation.door("implicit")
    (verdict,) = (each for each in try_tls(found, settings) if each.tried == OLD)
    assert (verdict.outcome.value, verdict.text) == ("ok", "TLS 1.0, 1.1 refused")
