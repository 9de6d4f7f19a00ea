"""The kinds of values that name people and services: logins, addresses, subjects of certificates, URLs, scopes.

They are written as those in values.py are.
"""

from __future__ import annotations

import functools
import re
import urllib.parse
from typing import Annotated, TypeAlias

from cryptography import x509
from pydantic import AfterValidator, Field, ValidationInfo

from submission.config.values import DOMAIN, absolute_path
from submission.core.addresses import Login, parse_mailbox

_URL = re.compile(r"[!-~]{1,2000}")
_SCOPE_WORD = r"[!#-\[\]-~]{1,200}"  # RFC 6749 section 3.3
_SCOPE = re.compile(rf"{_SCOPE_WORD}(?: {_SCOPE_WORD}){{0,19}}")
_EMAIL = "emailAddress"
_LOOPBACK = ("127.0.0.1", "::1")


def _optional_url(value: str) -> str:
    if value and not (_URL.fullmatch(value) and _is_safe(value)):
        raise ValueError('must be a URL that begins with "https://", or "http://" where the host is 127.0.0.1 or ::1')
    return value


def _is_safe(url: str) -> bool:
    """Whether nobody can listen there or answer in the other's place, for secrets and keys travel by it."""
    try:
        parts = urllib.parse.urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0  # raises for a port that is none
    except ValueError:
        return False
    is_private = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    return is_complete and is_private and "@" not in parts.netloc and not parts.fragment


def _file_or_url(value: str, info: ValidationInfo) -> str:
    if not value or value.startswith(("https:", "http:")):
        return _optional_url(value)
    return str(absolute_path(value, info))


def _login_name(value: str) -> str:
    Login.parse(value, "realm")
    return value


def _email_address(value: str) -> str:
    local, at, domain = value.rpartition("@")
    if value and not (at and local and value.isascii() and value.isprintable() and DOMAIN.fullmatch(domain)):
        raise ValueError('must be an address such as "alice@example.com", in ASCII')
    return normalize_address(value)


def _address_or_domain(value: str) -> str:
    mailbox = parse_mailbox(value.encode() if not value.startswith("@") else b"x" + value.encode())
    if mailbox is None or not mailbox.domain or mailbox.local.startswith(b'"'):
        raise ValueError('must be an address such as "info@example.com", or "@example.com" for all of a domain\'s')
    return value


def normalize_address(address: str) -> str:
    """An address for comparison with others: the case of its domain doesn't matter (RFC 5280 section 7.5)."""
    local, at, domain = address.rpartition("@")
    return local + at + domain.lower()


@functools.lru_cache(maxsize=1000)  # those of the configuration are compared with that of every client
def parse_distinguished_name(text: str) -> x509.Name:
    """A certificate's subject in the notation of RFC 4514, the part nearest to the person first. Raises ValueError."""
    return x509.Name.from_rfc4514_string(text, {_EMAIL: x509.NameOID.EMAIL_ADDRESS})


def format_distinguished_name(name: x509.Name) -> str:
    """The text that `parse_distinguished_name` takes."""
    return name.rfc4514_string({x509.NameOID.EMAIL_ADDRESS: _EMAIL})


def _distinguished_name(value: str) -> str:
    try:
        is_good = not value or bool(list(parse_distinguished_name(value)))
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError('must be a subject such as "CN=Alice,O=Example,C=DE", as the log has it (RFC 4514)')
    return value


def _scope(value: str) -> str:
    if value and not _SCOPE.fullmatch(value):
        raise ValueError("must be words with one blank between them, without quotes and backslashes")
    return value


LoginName: TypeAlias = Annotated[str, AfterValidator(_login_name)]
"""`user` or `user@realm`."""
EmailAddress: TypeAlias = Annotated[str, AfterValidator(_email_address)]
"""With its domain in lower case, or empty."""
AddressOrDomain: TypeAlias = Annotated[str, AfterValidator(_address_or_domain)]
"""`local@domain`, or `@domain`."""
DistinguishedName: TypeAlias = Annotated[str, AfterValidator(_distinguished_name)]
"""As `parse_distinguished_name` takes it, or empty."""
OptionalUrl: TypeAlias = Annotated[str, AfterValidator(_optional_url)]
"""https, or http to this very host; or empty."""
FileOrUrl: TypeAlias = Annotated[str, AfterValidator(_file_or_url)]
"""An absolute path, or such a URL; or empty."""
Scope: TypeAlias = Annotated[str, AfterValidator(_scope)]
Audience: TypeAlias = Annotated[str, Field(min_length=1, max_length=1000)]
