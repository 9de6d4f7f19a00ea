import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scramp.core import CBindData

from submission.certificates import make_authority, make_server_certificate
from submission.smtp.pem import MAX_FILE, CertificateError, end_point, read_certificate, read_public_key

NOW = datetime.now(UTC)
AUTHORITY = make_authority("authority", NOW)
MADE = make_server_certificate(AUTHORITY, ["mail.example.com", "*.example.org", "192.0.2.1"], NOW)
CHAIN = MADE.pem + AUTHORITY.pem
KEY = MADE.key_pem
CERTIFICATE_WISH = "must be a certificate and its chain in PEM format"
KEY_WISH = "must be a private key in PEM format without passphrase"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def refused(file: Path, data: bytes | None = None) -> list[str]:
    """What is said against a file, as a certificate's and as a key's, without its name."""
    if data is not None:
        file.write_bytes(data)
    texts = []
    for read in (read_certificate, lambda file: read_public_key(file, None)):
        with pytest.raises(CertificateError) as caught:
            read(file)
        texts.append(str(caught.value).removeprefix(f'"{file}"'))
    return texts


def test_a_certificate_before_its_chain(file: Path) -> None:
    file.write_bytes(CHAIN)
    certificate = read_certificate(file)
    assert certificate.names == ("mail.example.com", "*.example.org", "192.0.2.1")
    assert (certificate.file, certificate.public_key) == (file, MADE.key.public_key())


def test_a_certificate_may_name_nobody(file: Path) -> None:
    file.write_bytes(AUTHORITY.pem)
    assert read_certificate(file).names == ()


def test_dates(file: Path) -> None:
    file.write_bytes(CHAIN)
    certificate = read_certificate(file)
    moment = timedelta(seconds=1)
    for now in (certificate.begin, certificate.end):
        assert certificate.objection(now) is None
    begin, end = f"{certificate.begin:%Y-%m-%d %H:%M}", f"{certificate.end:%Y-%m-%d %H:%M}"
    assert certificate.objection(certificate.begin - moment) == f"is valid from {begin} UTC on only"
    assert certificate.objection(certificate.end + moment) == f"expired at {end} UTC"


def signed(
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, algorithm: hashes.SHA256 | hashes.SHA384 | None
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.example.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    return builder.sign(key, algorithm)


def as_of_sha1(certificate: x509.Certificate) -> x509.Certificate:
    """One that says so: nothing signs by it any more."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    family = bytes.fromhex("2a864886f70d0101")  # sha1WithRSAEncryption is 5 of it, sha256WithRSAEncryption 11
    return x509.load_der_x509_certificate(der.replace(family + b"\x0b", family + b"\x05"))


def test_the_end_point_is_a_hash_by_the_signature_s_hash_which_is_not_too_old(file: Path) -> None:
    """Likewise says scramp, which takes it from the DER form by itself."""
    key = rsa.generate_private_key(65537, 2048)
    lengths = []
    for certificate in (MADE.certificate, signed(key, hashes.SHA384()), as_of_sha1(signed(key, hashes.SHA256()))):
        der = certificate.public_bytes(serialization.Encoding.DER)
        assert end_point(certificate) == bytes(CBindData.from_der(der))
        lengths.append(len(end_point(certificate) or b""))
    assert lengths == [32, 48, 32]
    file.write_bytes(CHAIN)
    assert read_certificate(file).end_point == end_point(MADE.certificate)


def test_a_signature_without_a_hash_gives_no_end_point() -> None:
    assert end_point(signed(ed25519.Ed25519PrivateKey.generate(), None)) is None


@pytest.mark.parametrize("data", [KEY, CHAIN + KEY, KEY + CHAIN])
def test_a_key_alone_or_beside_its_certificate(data: bytes, file: Path) -> None:
    file.write_bytes(data)
    assert read_public_key(file, None) == MADE.key.public_key()


def test_a_key_that_older_programs_wrote(file: Path) -> None:
    """RFC 5915, as `openssl ecparam -genkey` writes it, its parameters first."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    old = MADE.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    file.write_bytes(parameters + old)
    assert read_public_key(file, None) == MADE.key.public_key()


@pytest.mark.parametrize(
    "other",
    [ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)],
    ids=["same kind", "other kind"],
)
def test_a_key_belongs_to_its_certificate(other: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, file: Path) -> None:
    chain = file.with_name("chain")
    chain.write_bytes(CHAIN)
    certificate = read_certificate(chain)
    file.write_bytes(KEY)
    assert read_public_key(file, certificate) == certificate.public_key
    file.write_bytes(
        other.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(CertificateError) as caught:
        read_public_key(file, certificate)
    assert str(caught.value) == f'"{file}" is not the key of "{chain}"'


@pytest.mark.parametrize("data", [b"", b"\xff\0", CHAIN[:200], KEY[:60], b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_neither_certificate_nor_key(data: bytes, file: Path) -> None:
    assert refused(file, data) == [f" cannot be used, {CERTIFICATE_WISH}", f" cannot be used, {KEY_WISH}"]


def test_a_key_is_never_asked_for_its_passphrase(file: Path) -> None:
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    told = refused(file, MADE.key.private_bytes(serialization.Encoding.PEM, form, encryption))
    assert told[1] == f" cannot be used, {KEY_WISH}"


def test_no_file_is_read_without_end(file: Path) -> None:
    told = refused(file, KEY + CHAIN + b"\n" * MAX_FILE)
    assert told == [f" is larger than {MAX_FILE} bytes, {wish}" for wish in (CERTIFICATE_WISH, KEY_WISH)]
    assert "larger" in refused(Path("/dev/zero"))[0]


def test_files_that_are_not_there(file: Path) -> None:
    assert refused(file)[0] == f": No such file or directory, {CERTIFICATE_WISH}"
    assert refused(file.parent)[1] == f": Is a directory, {KEY_WISH}"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_who_may_not_read_is_told_what_to_do(file: Path) -> None:
    file.write_bytes(KEY)
    file.chmod(0)
    assert "Permission denied; the service reads it as the user it runs as" in refused(file)[1]


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # of what it only dislikes
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(CHAIN + KEY)), st.binary(max_size=20))
def test_damage_raises_nothing_else(file: Path, place: int, octets: bytes) -> None:
    data = CHAIN + KEY
    file.write_bytes(data[:place] + octets + data[place + len(octets) :])
    for read in (read_certificate, lambda file: read_public_key(file, None)):
        with contextlib.suppress(CertificateError):
            read(file)
