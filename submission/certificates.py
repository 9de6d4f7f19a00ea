"""Certificates for trying the service out: an authority of one's own, and a server certificate that it signs.

The authority signs once: its key is never written, so there is nothing to steal and nothing that could sign for
another name later. Who wants other names makes both anew. A public service wants certificates of a public authority.

ECDSA P-256 throughout (RFC 5480), SHA-256, names in subjectAltName only (RFC 9525 section 2).
"""

from __future__ import annotations

import ipaddress
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=365)
CLOCK_SKEW = timedelta(hours=1)
"""How far a client's clock may be behind ours."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate alone, in PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key in PEM (PKCS #8), not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make_authority(name: str, now: datetime) -> Certificate:
    """An authority that signs server certificates and no further authorities, good from `now` on."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(name, name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return Certificate(builder.sign(key, hashes.SHA256()), key)


def make_server_certificate(authority: Certificate, names: Sequence[str], now: datetime) -> Certificate:
    """A certificate for host names and addresses, one at least, signed by `authority`.

    Raises ValueError where a name can't be one, such as a host name outside ASCII.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    builder = (
        _builder(names[0], _common_name(issuer), key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    return Certificate(builder.sign(authority.key, hashes.SHA256()), key)


def write_certificates(folder: Path, names: Sequence[str]) -> None:
    """Make an authority and a certificate for `names`, and write three files into `folder`.

    `ca.pem` is what clients are to trust, `server.pem` the chain and `server.key` the key (mode 0600) of the service.
    What was there before is replaced, file by file. Raises ValueError as above, and OSError.
    """
    now = datetime.now(UTC)
    authority = make_authority("submission-proxy test authority", now)
    server = make_server_certificate(authority, names, now)
    _replace(folder / "server.key", server.key_pem, 0o600)
    _replace(folder / "server.pem", server.pem + authority.pem, 0o644)
    _replace(folder / "ca.pem", authority.pem, 0o644)


def _builder(
    subject: str, issuer: str, public_key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_distinguished(subject))
        .issuer_name(_distinguished(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _distinguished(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _replace(path: Path, data: bytes, mode: int) -> None:
    """Put a file in place at once and whole: made beside it, for a rename is atomic within a file system only."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
