"""What clients make of the certificates: the ssl module is the judge, over a handshake in memory."""

import contextlib
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from submission.certificates import LIFETIME, make_authority, make_server_certificate, write_certificates

NAMES = ("localhost", "127.0.0.1", "::1", "mail.example.com")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_certificates(tmp_path, NAMES)
    return tmp_path


def shake_hands(folder: Path, name: str, authority: Path | None = None) -> str | None:
    """Let a client that trusts the authority and expects `name` meet the server; the TLS version, or the error."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    trusting = ssl.create_default_context(cafile=authority or folder / "ca.pem")
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = trusting.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (client, server) * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return client.version()


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_authority_accepts_each_name(folder: Path, name: str) -> None:
    assert shake_hands(folder, name) == "TLSv1.3"


@pytest.mark.parametrize("name", ["mail.example.org", "127.0.0.2", "example.com"])
def test_a_client_refuses_any_other_name(folder: Path, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(folder, name)


def test_another_authority_is_not_trusted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    write_certificates(other, NAMES)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(folder, "localhost", other / "ca.pem")


def test_only_the_owner_reads_the_key_and_nothing_else_is_left(folder: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"ca.pem": 0o644, "server.pem": 0o644, "server.key": 0o600}


def test_the_authoritys_key_is_not_written(folder: Path) -> None:
    key = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes()).public_key()
    assert b"PRIVATE" not in (folder / "ca.pem").read_bytes() + (folder / "server.pem").read_bytes()
    chain = x509.load_pem_x509_certificates((folder / "server.pem").read_bytes())
    assert [certificate.public_key() == key for certificate in chain] == [False, True]


def test_writing_again_replaces_all_three(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_certificates(folder, NAMES)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.keys() == after.keys()
    assert all(before[name] != after[name] for name in before)
    assert shake_hands(folder, "localhost") == "TLSv1.3"


def test_certificates_are_p256_and_good_for_a_year_from_now() -> None:
    now = datetime(2026, 11, 21, 10, tzinfo=UTC)
    authority = make_authority("test", now)
    server = make_server_certificate(authority, ["localhost"], now)
    for made in (authority, server):
        assert isinstance(made.certificate.public_key(), ec.EllipticCurvePublicKey)
        assert made.key.curve.name == "secp256r1"
        assert made.certificate.not_valid_before_utc == now - timedelta(hours=1)
        assert made.certificate.not_valid_after_utc == now + LIFETIME


def test_a_name_outside_ascii_is_refused() -> None:
    now = datetime.now(UTC)
    with pytest.raises(ValueError, match="A-label"):
        make_server_certificate(make_authority("test", now), ["münchen.example"], now)
