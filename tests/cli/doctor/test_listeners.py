"""What a listener may offer, and where: each fault is one that a program at that port really has."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from submission.cli.doctor.doors import Door
from submission.cli.doctor.listeners import CLEAR, ENCRYPTED, GREETING, try_listener
from submission.config.settings import Listen, TlsMode
from submission.config.values import TcpAddress
from tests.cli.doctor.conftest import Installation
from tests.support.server import HOSTNAME
from tests.support.sink import Sink, reply, script


def found(installation: Installation, kind: str, **auth: object) -> list[tuple[str, str, str]]:
    """Outcome, what was tried and what was found, by settings with other values in [auth]."""
    door, settings = installation.door(kind)
    settings = settings.model_copy(update={"auth": settings.auth.model_copy(update=auth)})
    return [(each.outcome.value, each.tried, each.text) for each in try_listener(door, settings)]


ALL = "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN CRAM-MD5"


def test_listeners_as_they_should_be(installation: Installation) -> None:
    greeting = ("ok", GREETING, f"answers as {HOSTNAME}")
    assert found(installation, "none") == [greeting, ("ok", CLEAR, "no TLS, no AUTH")]
    assert found(installation, "starttls") == [
        greeting,
        ("ok", CLEAR, "STARTTLS, no AUTH"),
        ("ok", ENCRYPTED, ALL),
    ]
    assert found(installation, "implicit") == [greeting, ("ok", ENCRYPTED, ALL)]


@pytest.mark.parametrize(
    ("missing", "outcome", "text"),
    [
        ("XOAUTH2", "FAILED", "doesn't offer XOAUTH2, which auth.mechanisms names; restart it if that is new"),
        ("SCRAM-SHA-1", "warning", f"{ALL}; SCRAM-SHA-1 held back: some login has no keys for it, until its next"),
        ("SCRAM-SHA-1-PLUS", "warning", f"{ALL}; SCRAM-SHA-1-PLUS held back: the certificate's kind of signature"),
        ("EXTERNAL", "ok", ALL),
    ],
)
def test_a_mechanism_that_is_not_offered(installation: Installation, missing: str, outcome: str, text: str) -> None:
    _, settings = installation.door("implicit")
    rows = found(installation, "implicit", mechanisms=(*settings.auth.mechanisms, missing))
    assert rows[-1][:2] == (outcome, ENCRYPTED)
    assert rows[-1][2].startswith(text)


@pytest.mark.parametrize(
    ("keywords", "tls", "require_tls", "text"),
    [
        (["STARTTLS", "AUTH CRAM-MD5 PLAIN"], "starttls", False, "offers PLAIN, by which a password is sent in the"),
        (["STARTTLS", "AUTH NTLM"], "starttls", False, "offers NTLM, by which a password is sent in the clear"),
        (["STARTTLS", "AUTH CRAM-MD5"], "starttls", True, "offers AUTH CRAM-MD5 although auth.require_tls is true"),
        (["SIZE"], "starttls", True, 'doesn\'t offer STARTTLS, which its tls = "starttls" says'),
        (["STARTTLS"], "none", True, 'offers STARTTLS, which its tls = "none" doesn\'t say'),
    ],
)
def test_what_must_not_be_offered_in_the_clear(
    installation: Installation, keywords: Sequence[str], tls: TlsMode, require_tls: bool, text: str
) -> None:
    _, settings = installation.door("starttls")
    settings = settings.model_copy(update={"auth": settings.auth.model_copy(update={"require_tls": require_tls})})
    with Sink(script({"connect": reply(f"220 {HOSTNAME} ESMTP")}, keywords)) as sink:
        listen = Listen(address=f"127.0.0.1:{sink.port}", tls=tls)
        verdicts = list(try_listener(Door(listen, TcpAddress("127.0.0.1", sink.port), HOSTNAME), settings))
    (verdict,) = (each for each in verdicts if each.tried == CLEAR)
    assert verdict.outcome.value == "FAILED"
    assert verdict.text.startswith(text)


def test_a_service_that_is_full(installation: Installation) -> None:
    _, settings = installation.door("starttls")
    with Sink(script({"connect": reply("421 4.3.2 Too many connections")})) as sink:
        listen = Listen(address=f"127.0.0.1:{sink.port}")
        first, *_ = try_listener(Door(listen, TcpAddress("127.0.0.1", sink.port), HOSTNAME), settings)
    assert (first.outcome.value, first.tried) == ("FAILED", GREETING)
    assert first.text == "421 4.3.2 Too many connections: it takes no clients now, its log says why"
