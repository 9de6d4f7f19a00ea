"""Whose login it is, that a client has proved with the certificate which it showed in its handshake.

OpenSSL has checked the certificate by then: it is signed by one of `tls.client_ca`, for clients, and within its dates.
Revocation isn't looked at: who is to be locked out is disabled in the store, or taken out of the configuration.

An address or a subject says nothing by itself. The configuration lists which of them is whose, and they are compared as
what they are, after parsing; a part of one is never enough.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cryptography import x509

from submission import logs
from submission.config.identifiers import format_distinguished_name, normalize_address, parse_distinguished_name
from submission.config.vouchers import CertificateUser
from submission.smtp.pem import REFUSED


def find_user(data: bytes, entries: Sequence[CertificateUser], session: str) -> str:
    """The user of the first entry that fits a certificate in DER; empty where it is nobody's.

    What there is to list is logged, with the id of the session.
    """
    try:
        certificate = x509.load_der_x509_certificate(data)
        subject, addresses = certificate.subject, _addresses(certificate)
        text = format_distinguished_name(subject)
    except REFUSED:
        logs.event("client-certificate", session=session, reason="it can't be parsed")
        return ""
    user = next((entry.user for entry in entries if _fits(entry, subject, addresses)), "")
    emails = ",".join(addresses) or None
    logs.event("client-certificate", user=user or None, subject=text, emails=emails, session=session)
    return user


def _fits(entry: CertificateUser, subject: x509.Name, addresses: Collection[str]) -> bool:
    if entry.email:
        return entry.email in addresses
    return parse_distinguished_name(entry.subject) == subject


def _addresses(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [normalize_address(address) for address in names.get_values_for_type(x509.RFC822Name)]
