"""OpenSSL's own client, as old devices and curious people use it: versions, names, renegotiation, compression."""

from __future__ import annotations

import functools
import subprocess
import threading
from collections.abc import Callable

import pytest

from tests.support.network import PATIENCE, free_ports
from tests.support.programs import require
from tests.support.server import HOSTNAME, Server, Settings
from tests.support.sink import Sink

OTHER = "mail.example.org"
MINIMUMS = ("1.0", "1.1", "1.2", "1.3")
Ports = dict[str, int]
OpenSsl = Callable[..., tuple[bool, str]]
PROTOCOLS = {"tls1": "TLSv1", "tls1_1": "TLSv1.1", "tls1_2": "TLSv1.2", "tls1_3": "TLSv1.3"}


@pytest.fixture(scope="module")
def relay(sink_of_module: Sink) -> Sink:
    return sink_of_module


@pytest.fixture(scope="module")
def ports() -> Ports:
    """Of the listeners, by their lowest version."""
    return dict(zip(MINIMUMS, free_ports(4), strict=True))


@pytest.fixture(scope="module")
def settings(ports: Ports) -> Settings:
    other = {"name": OTHER, "certificate": "server.pem", "key": "server.key"}
    listen = [
        {"address": f"127.0.0.1:{port}", "tls": kind(minimum), "tls_minimum": minimum}
        for minimum, port in ports.items()
    ]
    return {"listen": listen, "tls": {"sni": [other]}}


def kind(minimum: str) -> str:
    return "starttls" if minimum in ("1.1", "1.3") else "implicit"


@pytest.fixture
def openssl(server: Server, ports: Ports) -> OpenSsl:
    """Takes a lowest version, options and what is typed: did a handshake come off, and what was printed of it?"""
    require("openssl")
    return functools.partial(_openssl, server, ports)


def _openssl(
    server: Server, ports: Ports, minimum: str, *options: str, typed: str = "", behind: str = ""
) -> tuple[bool, str]:
    """`typed` is typed once a line that begins with `behind` was printed."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{ports[minimum]}"]
    command += ["-CAfile", str(server.certificate_authority), "-verify_return_error", *options]
    if kind(minimum) == "starttls":
        command += ["-starttls", "smtp"]
    printed = ""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        while behind and (line := process.stdout.readline()):
            printed += line
            if line.startswith(behind):
                break
        printed += process.communicate(typed)[0]
        timer.cancel()
    return process.returncode == 0, printed


@pytest.mark.parametrize("name", [HOSTNAME, OTHER, None])
@pytest.mark.parametrize("option", PROTOCOLS)
@pytest.mark.parametrize("minimum", MINIMUMS)
def test_old_versions_get_in_where_they_are_asked_for(
    minimum: str, option: str, name: str | None, openssl: OpenSsl
) -> None:
    names = ["-servername", name] if name else ["-noservername"]
    is_done, text = openssl(minimum, f"-{option}", "-cipher", "DEFAULT:@SECLEVEL=0", *names)
    assert is_done == (list(PROTOCOLS).index(option) >= MINIMUMS.index(minimum)), text
    if is_done:
        assert f"New, {PROTOCOLS[option]}" in text or f"Protocol  : {PROTOCOLS[option]}" in text
        assert "Compression: NONE" in text
        assert "No ALPN negotiated" in text


@pytest.mark.parametrize("minimum", ["1.0", "1.1", "1.2"])
def test_nobody_negotiates_twice(minimum: str, openssl: OpenSsl) -> None:
    """The client begins once nothing of ours is on its way, or that would cross its handshake."""
    last_word = {"implicit": "220 ", "starttls": "250 "}[kind(minimum)]
    is_done, text = openssl(minimum, "-tls1_2", typed="R\n", behind=last_word)
    assert "RENEGOTIATING" in text
    assert "no renegotiation" in text
    assert not is_done


def test_a_client_that_would_compress_or_speak_another_protocol_does_neither(openssl: OpenSsl) -> None:
    is_done, text = openssl("1.2", "-tls1_2", "-comp", "-alpn", "h2,http/1.1")
    assert is_done
    assert "Compression: NONE" in text
    assert "No ALPN negotiated" in text


def test_a_client_that_offers_old_ciphers_only_is_refused(openssl: OpenSsl) -> None:
    for cipher in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA"):
        assert not openssl("1.2", "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")[0]
    assert openssl("1.0", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")[0]
