"""What strangers can negotiate on listeners as they are unless told otherwise: each number of a suite is offered."""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator

import pytest

from tests.support import tls_scanner as scanner
from tests.support.server import HOSTNAME, Server, public_folder
from tests.support.tls_scanner import NAMES, Choice, Connect, Refusal, find_suites, offer

MODERN = {
    scanner.TLS13: ["TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"],
    scanner.TLS12: [
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-ECDSA-AES128-SHA256",
    ],
}
"""With the certificate of the tests, which is one of ECDSA; in our order."""
OLD = [scanner.SSL3, scanner.TLS10, scanner.TLS11]
ECDSA_SHA1 = 0xC009
"""ECDHE-ECDSA-AES128-SHA."""
FALLBACK = 0x5600


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with public_folder() as folder:
        server = Server(folder, "127.0.0.1:9")
        old = {**server.listener("none"), "tls": "implicit", "tls_minimum": "1.0"}
        server.configure({"listen": [server.listener("implicit"), server.listener("starttls"), old]})
        with server:
            yield server


@pytest.fixture(params=["implicit", "starttls"])
def connect(request: pytest.FixtureRequest, server: Server) -> Connect:
    return functools.partial(begin, server, request.param)


def begin(server: Server, kind: str) -> socket.socket:
    """A connection that is about to be encrypted."""
    connection = socket.create_connection(("127.0.0.1", server.ports[kind]), 30)
    if kind == "starttls":
        with connection.makefile("rb") as replies:
            replies.readline()
            connection.sendall(b"EHLO scanner.example\r\n")
            while replies.readline()[3:4] == b"-":
                pass
            connection.sendall(b"STARTTLS\r\n")
            assert replies.readline().startswith(b"220 ")
    return connection


@pytest.mark.parametrize("version", OLD)
def test_no_suite_is_taken_under_an_old_version(version: int, connect: Connect) -> None:
    assert find_suites(connect, version, HOSTNAME) == []


@pytest.mark.parametrize("version", MODERN)
def test_the_suites_that_are_taken_of_all_there_can_be(version: int, connect: Connect) -> None:
    assert [NAMES.get(suite) for suite in find_suites(connect, version, HOSTNAME)] == MODERN[version]


def test_no_group_in_which_a_handshake_costs_us_much(connect: Connect) -> None:
    """The client chooses, and its own share in it may be any number."""
    costly = (scanner.FFDHE4096, scanner.FFDHE6144, scanner.FFDHE8192)
    suites = find_suites(connect, scanner.TLS13, HOSTNAME, NAMES)
    choices = [offer(connect, scanner.TLS13, suites, HOSTNAME, [group]) for group in (*costly, scanner.SECP256R1)]
    assert [isinstance(choice, Choice) for choice in choices] == [False, False, False, True]


def test_nothing_is_compressed_and_nothing_beats(connect: Connect) -> None:
    choice = offer(connect, scanner.TLS12, list(NAMES), HOSTNAME)
    assert isinstance(choice, Choice)
    assert choice.compression == 0
    assert choice.extensions >= {scanner.RENEGOTIATION, scanner.SESSION_TICKET}
    assert choice.extensions.isdisjoint({scanner.HEARTBEAT, scanner.STATUS_REQUEST, scanner.ALPN})


def test_a_client_that_was_talked_into_an_older_version_is_told(connect: Connect) -> None:
    """RFC 7507: it says that it could do better."""
    assert isinstance(offer(connect, scanner.TLS12, [*NAMES], HOSTNAME), Choice)
    assert isinstance(offer(connect, scanner.TLS12, [*NAMES, FALLBACK], HOSTNAME), Refusal)


def test_what_is_old_is_found_where_it_is_allowed(server: Server) -> None:
    """Or the scanner would see nothing anywhere."""
    connect = functools.partial(begin, server, "none")
    assert [bool(find_suites(connect, version, HOSTNAME)) for version in OLD] == [False, True, True]
    assert ECDSA_SHA1 in find_suites(connect, scanner.TLS12, HOSTNAME)
