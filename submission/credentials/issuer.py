"""What an issuer says of a token: by its signature, or asked about each. The one importer of joserfc.

A JWT is signed by the issuer, and checked with the keys that it publishes (RFC 7515, RFC 7517): asking it again is
needed for new keys only. They are read anew at the first token that comes five minutes later, so that a key that was
withdrawn is soon refused, and at once when a token names one that isn't there; but once a minute at most, for anybody
can name keys. While the issuer is out of order, the keys that we have go on.

Any other token is but a name for what the issuer knows, who is asked each time (RFC 7662), so that a token that was
withdrawn is refused at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from submission import logs
from submission.config.vouchers import OAuth
from submission.credentials.fetching import MAX_ANSWER, Fetcher
from submission.credentials.tokens import Claims, Issuer, IssuerUnavailableError, TokenRefusedError

MAX_AGE = 300.0
"""Seconds after which keys are read anew."""
RETRY = 60.0
"""Seconds between two attempts at that."""
MAX_KEYS = 100
MAX_SECRET = 4096

_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
"""Signatures alone (RFC 8725 section 3.1): "none" proves nothing, HMAC would take a public key for a secret."""
_KINDS: Mapping[str, type[ECKey | OKPKey | RSAKey]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
_RSA_BITS = range(2048, 8193)

_REFUSED = (JoseError, UnsupportedAlgorithm, ValueError, TypeError, KeyError, RecursionError, OverflowError)
"""All that JSON and joserfc raise for what isn't as it should be."""


Keys = Mapping[str | None, Key]
"""By name (RFC 7517 section 4.5)."""


def open_issuer(settings: OAuth) -> Issuer:
    """The issuer of the configuration."""
    fetcher = Fetcher()
    if settings.introspection:
        return IntrospectingIssuer(settings, fetcher)
    if settings.jwks.startswith("/"):
        return SigningIssuer(lambda: asyncio.to_thread(read_keys, Path(settings.jwks)))
    return SigningIssuer(lambda: _fetch_keys(fetcher, settings.jwks))


class IntrospectingIssuer:
    """One that is asked about each token."""

    def __init__(self, settings: OAuth, fetcher: Fetcher) -> None:
        self._settings = settings
        self._fetcher = fetcher

    async def claims(self, token: str) -> Claims:
        """What it says of a token. Raises TokenRefusedError, IssuerUnavailableError."""
        try:
            return await self._ask(token)
        except IssuerUnavailableError as error:
            logs.warning("issuer-unavailable", reason=str(error))
            raise

    async def _ask(self, token: str) -> Claims:
        settings = self._settings
        if settings.client_secret_file is None:
            raise RuntimeError("the configuration has no secret, and was let pass")
        secret = await asyncio.to_thread(read_secret, settings.client_secret_file)
        form = {"token": token, "token_type_hint": "access_token"}
        answer = await self._fetcher.post(settings.introspection, form, settings.client_id, secret)
        claims = await asyncio.to_thread(_parse, answer, settings.introspection)
        if claims.get("active") is not True:
            raise TokenRefusedError("token-not-active")
        return {"iss": settings.issuer, "exp": math.inf, **claims}  # these two may be missing, `active` says as much


class SigningIssuer:
    """One whose tokens are JWTs."""

    def __init__(self, load: Callable[[], Awaitable[Keys]]) -> None:
        """`load` gives the keys that it has now. It raises IssuerUnavailableError."""
        self._keys = _KeptKeys(load)

    async def claims(self, token: str) -> Claims:
        """What a token says that it signed. Raises TokenRefusedError, IssuerUnavailableError."""
        key = await self._keys.find(_key_name(token))
        return await asyncio.to_thread(_verify, token, key)


class _KeptKeys:
    """The keys as they were last read, by name; a key without one is found only where it is the only one."""

    def __init__(self, load: Callable[[], Awaitable[Keys]]) -> None:
        self._load = load
        self._lock = asyncio.Lock()
        self._kept: Keys = {}
        self._failure = ""  # of the last attempt
        self._read = self._tried = -math.inf  # time.monotonic()

    async def find(self, name: str | None) -> Key:
        """The key that a token names. Raises TokenRefusedError where there is none, IssuerUnavailableError."""
        if self._is_due(name):
            async with self._lock:  # one reads, the others wait for what it finds
                if self._is_due(name):
                    await self._refresh()
        key = self._pick(name)
        if key is None and self._failure:
            raise IssuerUnavailableError(self._failure)
        if key is None:
            raise TokenRefusedError("token-of-unknown-key")
        return key

    def _pick(self, name: str | None) -> Key | None:
        if name is None and len(self._kept) == 1:
            return next(iter(self._kept.values()))
        return self._kept.get(name) if name is not None else None

    def _is_due(self, name: str | None) -> bool:
        now = time.monotonic()
        return now - self._tried > RETRY and (now - self._read > MAX_AGE or self._pick(name) is None)

    async def _refresh(self) -> None:
        try:
            self._kept = await self._load()
        except IssuerUnavailableError as error:
            self._failure = str(error)
            logs.warning("issuer-unavailable", reason=self._failure)
        else:
            self._failure = ""
            self._read = time.monotonic()
        self._tried = time.monotonic()  # not before it is over: until then, whoever needs a key waits


_REGISTRY = jws.JWSRegistry(algorithms=_ALGORITHMS, strict_check_header=False)
"""Takes our algorithms only, and header fields that it doesn't know (RFC 7515 section 4)."""
_REGISTRY.algorithms["EdDSA"].security_warning = None  # RFC 9864 has a better name for it, which few issuers use yet


def _key_name(token: str) -> str | None:
    """The name of the key that a JWT says it is signed with, if it says so. Raises TokenRefusedError."""
    try:
        name = jws.extract_compact(token.encode(), registry=_REGISTRY).headers().get("kid")
    except _REFUSED:
        _refuse("malformed-token")
    if name is not None and not isinstance(name, str):
        _refuse("malformed-token")
    return name


def _verify(token: str, key: Key) -> Claims:
    """What a JWT says, if the key signed it. Raises TokenRefusedError."""
    try:
        return jwt.decode(token, key, registry=_REGISTRY).claims
    except BadSignatureError:
        _refuse("token-with-bad-signature")
    except _REFUSED:
        _refuse("malformed-token")


def _refuse(reason: str) -> NoReturn:
    """Raise TokenRefusedError without what was raised before, whose text may hold parts of the token."""
    raise TokenRefusedError(reason) from None


async def _fetch_keys(fetcher: Fetcher, url: str) -> Keys:
    return await asyncio.to_thread(_parse_keys, await fetcher.get(url), url)


def read_keys(file: Path) -> Keys:
    """The keys in a file. Raises IssuerUnavailableError."""
    return _parse_keys(_read(file, MAX_ANSWER), str(file))


def _parse_keys(data: bytes, source: str) -> Keys:
    """The keys of a JSON Web Key Set that can check signatures. Raises IssuerUnavailableError where it has none."""
    entries = _parse(data, source).get("keys")
    keys: dict[str | None, Key] = {}
    for entry in entries[:MAX_KEYS] if isinstance(entries, list) else []:
        with contextlib.suppress(*_REFUSED):  # others may use keys that we don't know (RFC 7517 section 5)
            kind = _KINDS[entry["kty"]]
            key = kind.import_key(entry)
            if not isinstance(key, RSAKey) or key.public_key.key_size in _RSA_BITS:
                keys[key.kid] = key
    if not keys:
        raise IssuerUnavailableError(f'"{source}" must be a JSON Web Key Set with a key for signatures')
    return keys


def _parse(data: bytes, source: str) -> dict[str, object]:
    """A JSON object. Raises IssuerUnavailableError."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise IssuerUnavailableError(f'"{source}" is not a JSON object')
    return document


def _read(file: Path, limit: int) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise IssuerUnavailableError(f'"{file}": {error.strerror}') from None
    if len(data) > limit:
        raise IssuerUnavailableError(f'"{file}" is larger than {limit} bytes')
    return data


def read_secret(file: Path) -> str:
    """The one line of a file. Raises IssuerUnavailableError."""
    try:
        secret = _read(file, MAX_SECRET).decode().removesuffix("\n")
    except UnicodeDecodeError:
        secret = ""
    if not secret.isprintable() or not secret:
        raise IssuerUnavailableError(f'"{file}" does not hold a secret on one line')
    return secret
