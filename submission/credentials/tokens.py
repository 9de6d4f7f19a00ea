"""Bearer tokens: which user one is for, if it is from our issuer, meant for us and good now (RFC 7519, RFC 9068).

An issuer says what a token claims (issuer.py); here it is decided whether that is enough. Whoever sends a token has it
from the issuer, for a mail program that the user let in there; nobody here has seen a password. So nothing is guessed
at: a claim that is missing, or of another type than it should be, is a token refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol, TypeGuard

from submission.config.vouchers import OAuth

LEEWAY = 30.0
"""Seconds that the issuer's clock may differ from ours."""
MAX_WAITING = 64
"""Tokens that are checked at a time: what their issuer doesn't answer piles up no further."""

Claims = Mapping[str, object]


class TokenRefusedError(Exception):
    """The token is good for nobody. The text is one of a few fixed words for the log."""


class IssuerUnavailableError(Exception):
    """The issuer can't be asked now. The text is for the admin, and holds no secret."""


class Issuer(Protocol):
    """Who gives tokens out."""

    async def claims(self, token: str) -> Claims:
        """What a token of its own says, `iss` and `exp` included.

        Raises TokenRefusedError for one that isn't its own, IssuerUnavailableError where it can't be told.
        """


class TokenVerifier:
    """Answers for one process."""

    def __init__(self, settings: OAuth, issuer: Issuer, now: Callable[[], float] = time.time) -> None:
        """`now` gives the seconds since the epoch."""
        self._settings = settings
        self._issuer = issuer
        self._now = now
        self._waiting = 0

    async def user(self, token: str) -> str:
        """The name that the token has for its user. Raises TokenRefusedError, IssuerUnavailableError."""
        if self._waiting >= MAX_WAITING:
            raise IssuerUnavailableError("too many tokens wait to be checked")
        self._waiting += 1
        try:
            return user_of(await self._issuer.claims(token), self._settings, self._now())
        finally:
            self._waiting -= 1


def user_of(claims: Claims, settings: OAuth, now: float) -> str:
    """The user's name in claims that the issuer made, if they are good for us now. Raises TokenRefusedError."""
    expiry, beginning = claims.get("exp"), claims.get("nbf", 0)
    if claims.get("iss") != settings.issuer:
        raise TokenRefusedError("token-of-another-issuer")
    if not set(settings.audience) & set(_texts(claims.get("aud"))):
        raise TokenRefusedError("token-for-another-audience")
    if not _is_number(expiry) or not expiry > now - LEEWAY:  # in this order: nothing is greater than NaN, nor smaller
        raise TokenRefusedError("token-expired")
    if not _is_number(beginning) or not beginning <= now + LEEWAY:
        raise TokenRefusedError("token-not-yet-good")
    if "cnf" in claims:  # it is good for the owner of a key only, who would have to prove that (RFC 7800)
        raise TokenRefusedError("token-is-bound")
    if not set(settings.scope.split()) <= set(_words(claims.get("scope"))):
        raise TokenRefusedError("token-without-scope")
    name = claims.get(settings.user_claim)
    if not isinstance(name, str):
        raise TokenRefusedError("token-without-user")
    verified = claims.get("email_verified")
    if settings.user_claim == "email" and verified is not True and verified != "true":
        raise TokenRefusedError("token-with-unverified-email")  # which may be anybody's: people type it in
    return name


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _texts(value: object) -> list[str]:
    """One text, or several in an array (RFC 7519 section 4.1.3)."""
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


def _words(value: object) -> list[str]:
    """The words of a text that holds some (RFC 6749 section 3.3)."""
    return value.split(" ") if isinstance(value, str) else []
