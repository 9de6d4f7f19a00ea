"""Settings of those who vouch for a client in the store's stead: authorities of certificates, issuers of tokens.

Both name one of our logins, which has to exist in the store and be enabled: an authority or an issuer may know many
people who are nobody here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from submission.config.identifiers import (
    Audience,
    DistinguishedName,
    EmailAddress,
    FileOrUrl,
    LoginName,
    OptionalUrl,
    Scope,
)
from submission.config.tables import Table
from submission.config.values import OptionalPath, Several
from submission.core.sasl.bearer import BearerMechanism
from submission.core.sasl.external import ExternalMechanism
from submission.core.sasl.registry import MECHANISMS

_Claim = Annotated[str, Field(min_length=1, max_length=100)]
_ClientId = Annotated[str, Field(max_length=255)]


class CertificateUser(Table):
    """Whose login a client's certificate is: one that has this address, or this subject. One of them is set."""

    user: LoginName
    """The login: a user, or user@realm."""
    email: EmailAddress = ""
    """An rfc822Name among its alternative names (RFC 5280 section 4.2.1.6)."""
    subject: DistinguishedName = ""
    """Its whole subject in the notation of RFC 4514."""


class OAuth(Table):
    """Whose tokens are taken, and which of them. Nothing here has an effect unless `issuer` is set."""

    issuer: OptionalUrl = ""
    """What the token's `iss` has to be, to the letter."""
    audience: Annotated[Several[Audience], Field(max_length=20)] = ()
    """One of these has to be in the token's `aud`."""
    jwks: FileOrUrl = ""
    """The issuer's public keys (RFC 7517): an absolute path once all settings are read, or a URL."""
    introspection: OptionalUrl = ""
    """Where the issuer says what a token is (RFC 7662), which needs the next two."""
    client_id: _ClientId = ""
    """Our name at the issuer."""
    client_secret_file: OptionalPath = None
    """A file with our password there, on one line."""
    user_claim: _Claim = "sub"
    """Which claim is the login. `sub` alone is sure to stay one person's (OpenID Connect Core section 5.7)."""
    scope: Scope = ""
    """Words that the token's `scope` has to hold."""
    openid_configuration: OptionalUrl = ""
    """Told to clients whose token is refused."""


def certificate_faults(
    entries: tuple[CertificateUser, ...], client_ca: Path | None, mechanisms: tuple[str, ...], *, is_login: bool
) -> Iterator[tuple[str, str]]:
    """What contradicts itself about client certificates: full key, and what is wrong."""
    names = Counter((entry.email, entry.subject) for entry in entries)
    for number, entry in enumerate(entries):
        key = f"auth.certificate[{number}]"
        if bool(entry.email) == bool(entry.subject):
            yield key, "must have either email or subject"
        elif names[entry.email, entry.subject] > 1:
            yield f"{key}.{'email' if entry.email else 'subject'}", "is there more than once"
    is_used = is_login or ExternalMechanism.NAME in mechanisms
    if entries and client_ca is None:
        yield "tls.client_ca", "is missing, must be the path of a PEM file where auth.certificate is set"
    if is_used and not entries:
        wish = "auth.certificate_login is true" if is_login else "auth.mechanisms has EXTERNAL"
        yield "auth.certificate", f"is missing, must say whose login a certificate is where {wish}"
    if client_ca is not None and not is_used:
        yield "tls.client_ca", 'has no effect without "EXTERNAL" in auth.mechanisms or auth.certificate_login = true'


def oauth_faults(oauth: OAuth, mechanisms: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """What contradicts itself about tokens: full key, and what is wrong."""
    used = [name for name in mechanisms if issubclass(MECHANISMS[name], BearerMechanism)]
    if not oauth.issuer:
        if used or oauth != OAuth():
            where = f"auth.mechanisms has {used[0]}" if used else "auth.oauth is there"
            yield "auth.oauth.issuer", f"is missing, must be the URL that tokens name as their issuer where {where}"
        return
    if not used:
        yield "auth.oauth.issuer", 'has no effect without "OAUTHBEARER" or "XOAUTH2" in auth.mechanisms'
    if not oauth.audience:
        yield "auth.oauth.audience", "is missing, else tokens for any other service would be good here"
    if bool(oauth.jwks) == bool(oauth.introspection):
        yield "auth.oauth.jwks", "must be set, or auth.oauth.introspection, and not both"
    for key in ("client_id", "client_secret_file"):
        if oauth.introspection and not getattr(oauth, key):
            yield f"auth.oauth.{key}", "is missing, the issuer answers nobody else about tokens"
