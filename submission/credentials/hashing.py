"""Password hashes, and the one form of a password: argon2id and SASLprep. The one importer of passlib.

Hashes that came from elsewhere are verified too, and need an update: the next good login replaces them. Their costs are
bounded where they are taken (`check_foreign`), for one of them could otherwise take a thread for hours. Those that are
computed in Python itself (sha512_crypt, sha256_crypt) compete with the event loop for as long as they take; what keeps
the loop alive is a short switch interval, which the service sets.

passlib comes as `libpass`, its maintained continuation under the same import name. Both distributions in one
environment overwrite each other's files, so `check_distributions` says so before anything else goes wrong.

A hash takes about 25 ms of CPU on purpose: these functions belong into threads.
"""

from __future__ import annotations

import importlib.metadata

from passlib.context import CryptContext  # type: ignore[import-untyped]
from passlib.utils import saslprep  # type: ignore[import-untyped]

from submission.credentials.store import StoreUnavailableError

MAX_PASSWORD = 1024
"""Octets of a password."""

FOREIGN = (
    "bcrypt",
    "sha512_crypt",
    "sha256_crypt",
    "pbkdf2_sha512",
    "pbkdf2_sha256",
    "pbkdf2_sha1",
    "md5_crypt",
    "apr_md5_crypt",
    "ldap_salted_sha512",
    "ldap_salted_sha256",
    "ldap_salted_sha1",
    "ldap_salted_md5",
    "ldap_sha1",
    "ldap_md5",
    "des_crypt",
)
"""Schemes that are verified, by passlib's names."""
_MOST_ROUNDS = {"bcrypt": 14, "sha512_crypt": 1_000_000, "sha256_crypt": 1_000_000}
_MOST_ITERATIONS = 2_000_000
_MOST_MEMORY = 256 * 1024  # KiB
_BCRYPT_OCTETS = 72
"""How much of a password bcrypt looks at. Its library refuses more, those that made the hashes cut it off."""

# OWASP's choice for argon2id: 19 MiB, two passes, one lane (RFC 9106 section 4 has the bounds).
_CONTEXT = CryptContext(
    schemes=["argon2", *FOREIGN],
    deprecated=list(FOREIGN),
    argon2__type="ID",
    argon2__memory_cost=19456,
    argon2__time_cost=2,
    argon2__parallelism=1,
)
_NOBODYS_HASH = _CONTEXT.hash("nobody's password")
"""Made when the module is loaded: passlib looks for its backend at the first use, which must not be a client's login,
nor come after root is dropped and the library's files may be out of reach."""


def check_distributions() -> None:
    """Raise StoreUnavailableError, with the remedy, where passlib and libpass are both installed."""
    for name in ("passlib", "libpass"):
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            return
    raise StoreUnavailableError(
        "the distributions passlib and libpass are both installed and overwrite each other's files:"
        " uninstall both, then install libpass alone"
    )


def prepare(text: str) -> str:
    """A name or password as it is compared and kept (SASLprep, RFC 4013).

    Raises ValueError, whose text doesn't repeat the input, where it is too long or holds what none may: control
    characters, private use, text of both directions, and characters that are younger than Unicode 3.2.
    """
    _check_length(text)
    try:
        prepared = str(saslprep(text))
    except ValueError:
        raise ValueError("holds characters that names and passwords must not have (RFC 4013)") from None
    _check_length(prepared)  # some characters become eighteen
    return prepared


def _check_length(text: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PASSWORD:
        raise ValueError(f"is longer than {MAX_PASSWORD} octets")


def hash_password(password: str) -> str:
    """The hash to keep of a prepared password. Raises StoreUnavailableError where memory is short."""
    try:
        return str(_CONTEXT.hash(password))
    except ValueError:  # passlib's word for whatever argon2 couldn't do
        raise StoreUnavailableError("passwords can't be hashed: is there memory enough?") from None


def verify(password: str, kept: str) -> bool:
    """Whether the prepared password is the one that was hashed; the time is spent whatever `kept` is.

    Raises StoreUnavailableError where memory is short. That must not pass for a wrong password: mail programs throw
    away a password that was refused.
    """
    try:
        octets = password.encode()
        if kept.startswith("$2"):
            octets = octets[:_BCRYPT_OCTETS]
        return bool(_CONTEXT.verify(octets, kept or _NOBODYS_HASH)) and bool(kept)
    except ValueError:  # a hash that isn't one, a password that none can be made of, or no memory: which of them?
        _verify_nobodys()
        return False


def _verify_nobodys() -> None:
    try:
        _CONTEXT.verify("", _NOBODYS_HASH)
    except ValueError:
        raise StoreUnavailableError("passwords can't be checked: is there memory enough?") from None


def needs_update(kept: str) -> bool:
    """Whether a hash was made with other costs than today's, or elsewhere."""
    return bool(_CONTEXT.needs_update(kept))


def is_foreign(kept: str) -> bool:
    """Whether a hash was made elsewhere, maybe of a password that nobody prepared."""
    return not kept.startswith("$argon2")


def check_foreign(kept: str) -> None:
    """Raise ValueError, whose text doesn't repeat the hash, where one from elsewhere can't or shouldn't be taken."""
    scheme = _CONTEXT.identify(kept)
    if scheme is None:
        raise ValueError("is no hash of a kind that is known here")
    try:
        costs = _CONTEXT.handler(scheme).from_string(kept)
    except (ValueError, TypeError):
        raise ValueError(f"is a damaged hash of the kind {scheme}") from None
    if getattr(costs, "checksum", "") is None:
        raise ValueError(f"is half a hash of the kind {scheme}")
    if scheme == "argon2":
        is_dear = costs.memory_cost > _MOST_MEMORY or costs.rounds > 20 or costs.parallelism > 16
    else:
        is_dear = getattr(costs, "rounds", 0) > _MOST_ROUNDS.get(scheme, _MOST_ITERATIONS)
    if is_dear:
        raise ValueError("costs too much to be verified at each login")


def load_foreign() -> None:
    """Use each kind of hash once: the libraries load parts of themselves at their first use."""
    for scheme in FOREIGN:
        handler = _CONTEXT.handler(scheme)
        cheapest = handler.using(rounds=handler.min_rounds) if hasattr(handler, "min_rounds") else handler
        handler.verify("", cheapest.hash(""))
