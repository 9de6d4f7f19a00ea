"""TLS as clients see it: from which version on, with which certificate, and how a renewed one takes its place.

The listeners of one lowest version share a context for as long as the process lives, their front. It is made before
workers are forked, and holds what should not change: the versions, the options, and the keys of session tickets, so
that a ticket is good with every worker and after every renewal. It has no certificate. Each of these has a context of
its own, which OpenSSL's server name callback puts on a connection once the client has said which name it wants, or that
it wants none (SSL_set_SSL_CTX: certificate, ciphers and security level change, all the rest stays the front's).

A renewal makes the contexts of the certificates anew, and takes them only if every one is good; connections keep what
they began with.

Where the authorities of clients' certificates are configured, clients are asked for one, and whoever has none goes on
as before; one that can't be verified ends the handshake. A resumed session brings its certificate along, and nobody
looks at that again. Under TLS 1.2 this ends after two hours, counted from the first handshake. Under TLS 1.3 each
ticket is exchanged for one that is good for two hours more, so there are none then. Other authorities get fronts of
their own, with which no session can be resumed that began with the former ones.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from submission import logs
from submission.config.settings import Tls, TlsVersion
from submission.smtp.pem import Certificate, CertificateError, UnreadableError, read_certificate, read_public_key

VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}

_CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!AESCCM:!SHA1"
"""For TLS 1.2: forward secrecy, no SHA-1, no CCM, whose tags may be short and which nobody needs. Named, for the
default is whatever Python was built with; 1.3 has its own."""

_OLD_CIPHERS = "DEFAULT:!PSK:!SRP:@SECLEVEL=0"
"""Below 1.2 OpenSSL refuses every handshake at its usual security level, whatever version is named as the lowest, for
these versions need SHA-1 signatures."""

_COMMON_GROUP = "prime256v1"
"""The one group for key exchange that every client knows (RFC 8446 section 9.1)."""

_DEFAULT = ""
"""In the place of a name: the certificate for clients that ask for none of those that are listed."""


class _Pair(NamedTuple):
    """The files of a certificate with its chain, and of its key."""

    certificate: Path
    key: Path


class Context(ssl.SSLContext):
    """A server's context, and what is known of its certificate, if it has one."""

    end_point: bytes | None = None


class ServerTls:
    """The contexts of a process."""

    def __init__(self, settings: Tls, minimums: Collection[TlsVersion], now: datetime) -> None:
        """Read all certificates, for listeners with these lowest versions. Raises CertificateError."""
        self._pairs = _pairs(settings) if minimums else {}
        self._client_ca = settings.client_ca if minimums else None
        self._minimums = tuple(minimums)
        self._fronts: Mapping[TlsVersion, ssl.SSLContext] = {}
        self._trusted: object = None  # the state of the authorities' file that the fronts are for
        self._certificates: Mapping[_Pair, Certificate] = {}
        self._contexts: Mapping[tuple[TlsVersion, str], ssl.SSLContext] = {}
        self.reload(now)

    def context(self, minimum: TlsVersion) -> ssl.SSLContext:
        """What a listener with this lowest version shakes hands with; another once clients' authorities changed."""
        return self._fronts[minimum]

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """Those that are served now, the one for clients that ask for no name first; none where nobody speaks TLS."""
        return tuple(self._certificates.values())

    def has_changed(self) -> bool:
        """Whether any file is another one than at the last `reload`, were it refused or not. For a thread."""
        return self._look() != self._seen

    def reload(self, now: datetime) -> None:
        """Read all files, and serve what they hold from the next connection on. For a thread; one at a time.

        Raises CertificateError if any can't be used, and goes on as before. `now` is an aware time. A certificate that
        isn't good now is taken only where there is none that is.
        """
        self._seen = self._look()  # before they are read: a change from here on is one that nobody has seen
        certificates = {pair: _read(pair) for pair in self._pairs.values()}
        for pair, certificate in certificates.items():
            before, objection = self._certificates.get(pair), certificate.objection(now)
            if objection and before and not before.objection(now):
                raise CertificateError(f'"{pair.certificate}" {objection}, and the one before it is still good')
        contexts = {
            (minimum, pair): make_context(minimum, *pair) for minimum in self._minimums for pair in certificates
        }
        for (_, pair), context in contexts.items():
            context.end_point = certificates[pair].end_point
            if self._client_ca is not None:
                trust(context, self._client_ca)
        if self.has_changed():  # what OpenSSL read need not be what we looked at
            raise CertificateError("a file changed while it was read")
        self._certificates = certificates
        self._contexts = {
            (minimum, name): contexts[minimum, pair] for minimum in self._minimums for name, pair in self._pairs.items()
        }
        trusted = self._client_ca and self._seen[self._client_ca]
        if not self._fronts or trusted != self._trusted:
            self._fronts, self._trusted = self._make_fronts(), trusted
        for certificate in certificates.values():
            _report(certificate, now)

    def _make_fronts(self) -> Mapping[TlsVersion, ssl.SSLContext]:
        """Fronts with keys of tickets that nobody has one from."""
        fronts = {minimum: make_context(minimum) for minimum in self._minimums}
        for minimum, front in fronts.items():
            front.sni_callback = functools.partial(self._choose, minimum)
            if self._client_ca is not None:
                front.verify_mode = ssl.CERT_OPTIONAL
                front.num_tickets = 0
        return fronts

    def _look(self) -> Mapping[Path, object]:
        files = [file for pair in self._pairs.values() for file in pair]
        if self._client_ca is not None:
            files.append(self._client_ca)
        return {file: _state(file) for file in files}

    def _choose(self, minimum: TlsVersion, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """Put the certificate for `name` on a connection (RFC 6066 section 3), a wildcard's if there is no other."""
        contexts = self._contexts  # at one moment: a thread may be putting others in their place
        name = (name or _DEFAULT).lower()
        for wanted in (name, "*." + name.partition(".")[2]):
            if (minimum, wanted) in contexts:
                connection.context = contexts[minimum, wanted]
                return
        connection.context = contexts[minimum, _DEFAULT]


def make_context(minimum: TlsVersion, certificate: Path | None = None, key: Path | None = None) -> Context:
    """A server's context, with a certificate or as a front without one. Raises CertificateError."""
    context = Context(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(_OLD_CIPHERS if minimum in ("1.0", "1.1") else _CIPHERS)
    context.minimum_version = VERSIONS[minimum]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    # By default the client may choose ffdhe8192, in which a handshake costs us a hundred milliseconds: a few strangers
    # could keep the loop busy. Python names one group or none. OpenSSL 3.5 took the long ones out of its default, and
    # put one in that withstands quantum computers, which is worth keeping.
    if ssl.OPENSSL_VERSION_INFO < (3, 5):
        context.set_ecdh_curve(_COMMON_GROUP)
    context.num_tickets = 1  # one is enough to resume with, and each costs CPU and octets
    if certificate is None:
        return context
    try:
        context.load_cert_chain(certificate, key, password="")  # else it would ask the terminal
    except ssl.SSLError as error:
        raise CertificateError(f'"{certificate}" is refused by OpenSSL: {error.reason or error}') from error
    except OSError as error:
        raise CertificateError(f'"{certificate}", "{key}": {error.strerror}') from error
    return context


def served_end_point(connection: ssl.SSLObject) -> bytes | None:
    """The tls-server-end-point of the certificate that this client saw; None where it has none, or we can't tell.

    A resumed session is bound to the certificate of its first handshake, which may have been renewed since.
    """
    context = connection.context
    return context.end_point if isinstance(context, Context) and not connection.session_reused else None


def trust(context: ssl.SSLContext, authorities: Path) -> None:
    """Let a context verify clients' certificates by those of a file. Raises CertificateError."""
    wish = "must be certificates of authorities in PEM format"
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError:
        raise CertificateError(f'"{authorities}" cannot be used, {wish}') from None
    except PermissionError as error:
        raise UnreadableError(f'"{authorities}": {error.strerror}, {wish}') from None
    except OSError as error:
        raise CertificateError(f'"{authorities}": {error.strerror}, {wish}') from None


def _pairs(settings: Tls) -> Mapping[str, _Pair]:
    """The files by the name they are for."""
    if settings.certificate is None or settings.key is None:
        raise CertificateError("tls.certificate and tls.key are missing")
    listed = {entry.name: _Pair(entry.certificate, entry.key) for entry in settings.sni}
    return {_DEFAULT: _Pair(settings.certificate, settings.key)} | listed


def _read(pair: _Pair) -> Certificate:
    certificate = read_certificate(pair.certificate)
    read_public_key(pair.key, certificate)
    return certificate


def _state(file: Path) -> object:
    """What changes when a file is replaced, written to, or opened to other users; symbolic links are followed."""
    try:
        status = file.stat()
    except OSError as error:
        return error.errno
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _report(certificate: Certificate, now: datetime) -> None:
    logs.event(
        "certificate-loaded",
        file=certificate.file,
        not_after=f"{certificate.end:%Y-%m-%dT%H:%M:%SZ}",
        names=",".join(certificate.names) or None,
        warning=certificate.objection(now),
    )
