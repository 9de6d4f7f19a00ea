"""Certificates and private keys in PEM files: read strictly, refused in words.

OpenSSL reads these files too, but takes a key of another kind than the certificate's for that of a second one, doesn't
mind dates, asks the terminal for a passphrase, and says little of what it minds. So they are looked at here before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

MAX_FILE = 1 << 20
"""Octets of a file; a long chain has twenty thousand."""

_T = TypeVar("_T")


class CertificateError(Exception):
    """A certificate or key can't be used. The text names the file, and says why and what would be right."""


class UnreadableError(CertificateError):
    """A file is closed to the user that the service runs as; it may have been read by root before."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The first certificate of a file, which is the server's own."""

    file: Path
    public_key: PublicKeyTypes
    names: tuple[str, ...]
    """Host names and addresses that it is for; those in its subject don't count (RFC 9525 section 2)."""
    begin: datetime
    end: datetime
    """The first and the last moment at which it is good, aware times."""
    end_point: bytes | None
    """What a mechanism is bound to that binds its channel, see `end_point`."""

    def objection(self, now: datetime) -> str | None:
        """What clients have against its dates at the time `now`, an aware one."""
        if now < self.begin:
            return f"is valid from {self.begin:%Y-%m-%d %H:%M} UTC on only"
        if now > self.end:
            return f"expired at {self.end:%Y-%m-%d %H:%M} UTC"
        return None


def read_certificate(file: Path) -> Certificate:
    """The server's certificate of a file, and see that what follows can be parsed too. Raises CertificateError.

    A last one that lacks its end is overlooked here, and refused by OpenSSL.
    """
    return _parsed(file, lambda data: _certificate(file, data), "must be a certificate and its chain in PEM format")


def read_public_key(file: Path, certificate: Certificate | None) -> PublicKeyTypes:
    """The public half of the private key in a file, which has to be the certificate's where there is one.

    Raises CertificateError.
    """
    public_key = _parsed(file, _public_key, "must be a private key in PEM format without passphrase")
    if certificate is not None and public_key != certificate.public_key:
        raise CertificateError(f'"{file}" is not the key of "{certificate.file}"')
    return public_key


def _parsed(file: Path, parse: Callable[[bytes], _T], wish: str) -> _T:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise CertificateError(f'"{file}" is larger than {MAX_FILE} bytes, {wish}')
        return parse(data)
    except PermissionError as error:
        text = "the service reads it as the user it runs as, whose group must be able to (chgrp, chmod 640)"
        raise UnreadableError(f'"{file}": {error.strerror}; {text} and to enter the folders above') from None
    except OSError as error:
        raise CertificateError(f'"{file}": {error.strerror}, {wish}') from None
    except REFUSED:  # whose texts fill a page at times, and might repeat what is in the file
        raise CertificateError(f'"{file}" cannot be used, {wish}') from None


REFUSED = (
    *(ValueError, TypeError, UnsupportedAlgorithm),
    *(x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType),
)
"""All that cryptography raises."""


def _certificate(file: Path, data: bytes) -> Certificate:
    certificate = x509.load_pem_x509_certificates(data)[0]
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return Certificate(file, certificate.public_key(), names_of(certificate), begin, end, end_point(certificate))


def end_point(certificate: x509.Certificate) -> bytes | None:
    """The channel binding tls-server-end-point, which is a hash of the certificate (RFC 5929 section 4.1).

    The hash is that of its signature, or SHA-256 where that is MD5 or SHA-1. Some have none, Ed25519's for one: None.
    """
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    return certificate.fingerprint(SHA256() if isinstance(algorithm, MD5 | SHA1) else algorithm)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Host names and addresses that a certificate is for; those in its subject do not count (RFC 9525 section 2)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names if isinstance(name, (x509.DNSName, x509.IPAddress)))


def _public_key(data: bytes) -> PublicKeyTypes:
    return load_pem_private_key(data, password=None).public_key()
