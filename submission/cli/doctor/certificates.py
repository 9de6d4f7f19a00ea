"""TLS as clients find it: the certificate that is served, who vouches for it, and which versions are taken."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from submission.cli.check.certificates import EXPIRES_SOON
from submission.cli.doctor.conversation import ConversationError, HandshakeError
from submission.cli.doctor.doors import Door, tolerant
from submission.cli.doctor.verdict import Verdict
from submission.config import Settings
from submission.config.settings import Tls
from submission.smtp.pem import REFUSED, CertificateError, names_of, read_certificate
from submission.smtp.tls import VERSIONS

NAMES, DATES, CHAIN = "certificate's names", "certificate's dates", "certificate's chain"
RENEWAL, OLD = "certificate's renewal", "old TLS versions"

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python has no name for: dates have a verdict of their own."""


def try_tls(door: Door, settings: Settings) -> Iterator[Verdict]:
    """What can be said of a listener's TLS without logging in."""
    if door.listen.tls == "none":
        return
    for name, file in _names_and_files(settings.tls, settings.hostname):
        try:
            with door.enter_encrypted(name=name) as conversation:
                certificate = x509.load_der_x509_certificate(conversation.certificate or b"")
        except (ConversationError, *REFUSED) as error:
            yield door.place.not_tried(NAMES, f"for {name}: {error}")
            continue
        yield _names(door, certificate, name)
        yield _dates(door, certificate, name)
        yield _chain(door, name)
        yield _renewal(door, certificate, name, file)
    yield _old_versions(door)


def _names_and_files(tls: Tls, hostname: str) -> Iterator[tuple[str, Path]]:
    """What clients may ask for, and the certificate that is theirs."""
    files = {entry.name.replace("*.", "any.", 1): entry.certificate for entry in tls.sni}
    if tls.certificate is not None:
        files = {hostname: tls.certificate} | files
    yield from files.items()


def _names(door: Door, certificate: x509.Certificate, name: str) -> Verdict:
    names = [known.lower() for known in names_of(certificate)]
    if name.lower() in names or "*." + name.lower().partition(".")[2] in names:
        return door.place.ok(NAMES, f"for {name}")
    text = f"for {', '.join(names) or 'no name at all'}, not for {name}, as which clients are to know us"
    return door.place.failed(NAMES, f"{text}: they refuse it; have one issued for that name")


def _dates(door: Door, certificate: x509.Certificate, name: str) -> Verdict:
    now, begin, end = datetime.now(UTC), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        return door.place.failed(DATES, f"for {name}: expired at {end:%Y-%m-%d %H:%M} UTC; renew it")
    if now < begin:
        return door.place.failed(DATES, f"for {name}: not good before {begin:%Y-%m-%d %H:%M} UTC; is the clock right?")
    days = (end - now).days
    if end - now < EXPIRES_SOON:
        return door.place.warning(DATES, f"for {name}: expires in {days} days; renew it")
    return door.place.ok(DATES, f"for {name}: good for {days} days")


def _chain(door: Door, name: str) -> Verdict:
    """Whether who trusts what this system trusts can follow the chain."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    context.load_default_certs()
    try:
        door.enter_encrypted(context, name).close()
    except HandshakeError as error:
        text = f"for {name}: {error}; who trusts only what this system trusts refuses it. Is an intermediate missing in"
        return door.place.warning(CHAIN, f"{text} the file, or is the authority your own?")
    except ConversationError as error:
        return door.place.not_tried(CHAIN, f"for {name}: {error}")
    return door.place.ok(CHAIN, f"for {name}: this system's authorities vouch for it")


def _renewal(door: Door, served: x509.Certificate, name: str, file: Path) -> Verdict:
    """Whether what is served is what the file holds."""
    try:
        kept = read_certificate(file)
    except CertificateError as error:
        return door.place.not_tried(RENEWAL, f"for {name}: {error}")
    if (kept.public_key, kept.end) == (served.public_key(), served.not_valid_after_utc):
        return door.place.ok(RENEWAL, f"for {name}: that of {file}")
    text = f"for {name}: {file} holds another, good until {kept.end:%Y-%m-%d}, that was not taken: submission check and"
    return door.place.warning(RENEWAL, f"{text} the log (event=certificate-refused) say why")


def _old_versions(door: Door) -> Verdict:
    """Whether versions below the lowest that is allowed are really refused."""
    minimum = door.listen.tls_minimum
    older = [version for version, number in VERSIONS.items() if number < VERSIONS[minimum]]
    refused = []
    for version in older:
        try:
            door.enter_encrypted(_exactly(VERSIONS[version])).close()
        except HandshakeError:
            refused.append(version)
        except ConversationError as error:
            return door.place.not_tried(OLD, str(error))
        except ValueError:  # this machine's OpenSSL was built without
            continue
        else:
            text = f"TLS {version} is taken, though tls_minimum is {minimum}; restart it if that is new"
            return door.place.failed(OLD, text)
    if not older:
        return door.place.ok(OLD, f"TLS {minimum} is the lowest there is")
    if not refused:
        return door.place.not_tried(OLD, f"this machine doesn't speak TLS {', '.join(older)}")
    return door.place.ok(OLD, f"TLS {', '.join(refused)} refused")


def _exactly(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that speaks one version only, however old. ValueError where it can't."""
    context = tolerant()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # below that OpenSSL doesn't even try
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is why it is tried
        context.minimum_version = context.maximum_version = version
    return context
