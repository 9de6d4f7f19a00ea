import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.credentials import fetching
from submission.credentials.fetching import MAX_ANSWER, Fetcher
from submission.credentials.tokens import IssuerUnavailableError
from tests.support.issuer import CLIENT_ID, SECRET, Answer, Handler, Issuer
from tests.support.network import free_port


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


async def test_get(issuer: Issuer) -> None:
    assert await Fetcher().get(issuer.jwks) == issuer.key_set()


async def test_post(issuer: Issuer) -> None:
    issuer.known["token"] = {"active": True}
    form = {"token": "token", "token_type_hint": "access_token"}
    assert await Fetcher().post(issuer.introspection, form, CLIENT_ID, SECRET) == b'{"active": true}'
    with pytest.raises(IssuerUnavailableError, match="answers with status 401") as caught:
        await Fetcher().post(issuer.introspection, form, CLIENT_ID, "another secret")
    assert "another" not in str(caught.value)


def redirect(handler: Handler) -> None:
    handler.answer(302, Location="/keys")


def be_huge(handler: Handler) -> None:
    with contextlib.suppress(OSError):  # it is hung up on
        handler.answer(200, b"x" * (MAX_ANSWER + 1))


def be_huge_in_chunks(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def break_off(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.close_connection = True


def speak_something_else(handler: Handler) -> None:
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n\r\n")
    handler.close_connection = True


@pytest.mark.parametrize(
    ("misbehave", "text"),
    [
        (redirect, "answers with status 302"),
        (be_huge, "answers with more than 262144 bytes"),
        (be_huge_in_chunks, "answers with more than 262144 bytes"),
        (break_off, "peer closed connection"),
        (speak_something_else, "illegal status line"),
    ],
)
async def test_answers_that_are_none(issuer: Issuer, misbehave: Answer, text: str) -> None:
    issuer.misbehave = misbehave
    with pytest.raises(IssuerUnavailableError, match=text):
        await Fetcher().get(issuer.jwks)
    assert issuer.requests == ["/keys"]


@pytest.mark.parametrize("is_dripping", [False, True])
async def test_an_issuer_that_takes_its_time(
    issuer: Issuer, is_dripping: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither silence nor an octet now and then holds anybody for longer than the limit, which is of the whole."""
    monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
    over = threading.Event()

    def drip(handler: Handler) -> None:
        while is_dripping and not over.wait(0.01):
            handler.wfile.write(b"x")
        over.wait()
        handler.close_connection = True

    issuer.misbehave = drip
    try:
        with pytest.raises(IssuerUnavailableError):
            await asyncio.wait_for(Fetcher().get(issuer.jwks), 10)
    finally:
        over.set()


async def test_nobody_there() -> None:
    with pytest.raises(IssuerUnavailableError, match="All connection attempts failed"):
        await Fetcher().get(f"http://127.0.0.1:{free_port()}/keys")


async def test_proxies_and_passwords_of_the_environment_are_not_for_us(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[str | None] = []

    def note(handler: Handler) -> None:
        seen.append(handler.headers["Authorization"])
        handler.answer(200, b"{}")

    issuer.misbehave = note
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login alice password sesame\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert await Fetcher().get(issuer.jwks) == b"{}"
    assert seen == [None]


async def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from submission.certificates import write_certificates

    write_certificates(tmp_path, ["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        with pytest.raises(IssuerUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            await Fetcher().get(url)
        assert heard == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert await Fetcher().get(url) == b"{}"
    finally:
        server.close()
