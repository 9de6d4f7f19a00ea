"""An authority that signs certificates for clients, in every way that they may be wrong too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from submission.certificates import make_authority


class ClientAuthority:
    """`pem` is what the service has to trust."""

    def __init__(self) -> None:
        self._authority = make_authority("an authority of clients", datetime.now(UTC))
        self.pem = self._authority.pem

    def make(
        self,
        subject: str = "CN=Alice,O=Example",
        emails: Sequence[str] = (),
        *,
        days: int = 0,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> tuple[x509.Certificate, bytes]:
        """A certificate, good for a month from that many days on; and its key in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        begin = datetime.now(UTC) + timedelta(days=days, hours=-1)
        builder = x509.CertificateBuilder(
            self._authority.certificate.subject,
            x509.Name.from_rfc4514_string(subject),
            key.public_key(),
            x509.random_serial_number(),
            begin,
            begin + timedelta(days=30),
        ).add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if emails:
            names = x509.SubjectAlternativeName([x509.RFC822Name(email) for email in emails])
            builder = builder.add_extension(names, critical=False)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return builder.sign(self._authority.key, hashes.SHA256()), pem

    def issue(
        self,
        file: Path,
        subject: str = "CN=Alice,O=Example",
        emails: Sequence[str] = (),
        *,
        days: int = 0,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> Path:
        """Write a certificate and its key into one file; the file."""
        certificate, key = self.make(subject, emails, days=days, usage=usage)
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key)
        return file
