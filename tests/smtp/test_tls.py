"""Handshakes in memory: OpenSSL at both ends, no sockets."""

import ssl
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest

from submission.certificates import make_authority, make_server_certificate, write_certificates
from submission.smtp.tls import make_context


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder, ["mail.example.com"])
    return folder


def context(folder: Path, minimum: str) -> ssl.SSLContext:
    with warnings.catch_warnings():  # that the old versions are old is why there is a setting
        warnings.simplefilter("ignore", DeprecationWarning)
        return make_context(folder / "server.pem", folder / "server.key", minimum)


def handshake(
    server_context: ssl.SSLContext, version: ssl.TLSVersion | None = None, ca: Path | None = None
) -> ssl.SSLObject:
    """The client's end of a finished handshake, in which it speaks `version` only. Raises ssl.SSLError."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    else:
        client_context.load_verify_locations(ca)
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            client_context.set_ciphers("DEFAULT:@SECLEVEL=0")
            client_context.minimum_version = client_context.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="mail.example.com")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for end in (client, server):
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
        if len(done) == 2:
            return client
    raise AssertionError("the handshake does not end")


@pytest.mark.parametrize(
    ("minimum", "refused", "allowed"),
    [
        ("1.3", ["TLSv1_2", "TLSv1_1", "TLSv1"], ["TLSv1_3"]),
        ("1.2", ["TLSv1_1", "TLSv1"], ["TLSv1_2", "TLSv1_3"]),
        ("1.1", ["TLSv1"], ["TLSv1_1", "TLSv1_2", "TLSv1_3"]),
        ("1.0", [], ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"]),
    ],
)
def test_the_minimum_is_what_clients_find(folder: Path, minimum: str, refused: list[str], allowed: list[str]) -> None:
    for name in refused:
        with pytest.raises(ssl.SSLError):
            handshake(context(folder, minimum), ssl.TLSVersion[name])
    for name in allowed:
        client = handshake(context(folder, minimum), ssl.TLSVersion[name])
        assert client.version() == name.replace("_", ".")


def test_clients_who_trust_the_authority_are_content(folder: Path) -> None:
    client = handshake(context(folder, "1.2"), ca=folder / "ca.pem")
    assert client.version() == "TLSv1.3"
    (folder / "other.pem").write_bytes(make_authority("another", datetime.now(UTC)).pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context(folder, "1.2"), ca=folder / "other.pem")


def test_options(folder: Path) -> None:
    options = context(folder, "1.2").options
    for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION, ssl.OP_CIPHER_SERVER_PREFERENCE):
        assert options & option
    assert context(folder, "1.2").num_tickets == 1


def test_weak_ciphers_are_only_there_for_old_versions(folder: Path) -> None:
    names = {cipher["name"] for cipher in context(folder, "1.2").get_ciphers()}
    assert not [name for name in names if any(word in name for word in ("RC4", "3DES", "NULL", "EXP", "MD5", "ADH"))]
    old = {cipher["name"] for cipher in context(folder, "1.0").get_ciphers()}
    assert not [name for name in old if any(word in name for word in ("NULL", "EXP", "ADH", "AECDH"))]


def test_bad_files(folder: Path, tmp_path: Path) -> None:
    authority = make_authority("another", datetime.now(UTC))
    other = make_server_certificate(authority, ["mail.example.com"], datetime.now(UTC))
    (tmp_path / "other.key").write_bytes(other.key_pem)
    (tmp_path / "garbage").write_text("garbage")
    for certificate, key in (
        (folder / "none.pem", folder / "server.key"),
        (folder / "server.pem", folder / "none.key"),
        (folder / "server.pem", tmp_path / "other.key"),
        (tmp_path / "garbage", folder / "server.key"),
        (folder / "server.pem", tmp_path / "garbage"),
    ):
        with pytest.raises(OSError):
            make_context(certificate, key, "1.2")
