"""`{SCHEME}value`, as Dovecot writes passwords, in the words of passlib.

Most of Dovecot's schemes are those of crypt(3) or LDAP with another name in front. Some can't be taken, and say so:
what is kept for CRAM-MD5 alone, and values in hex or base64.
"""

from __future__ import annotations

import base64
import binascii
import re

from submission.core.account_files import Account, Refusal

_SCHEME = re.compile(r"\{(?P<scheme>[A-Za-z0-9._-]{1,24})\}(?P<value>.*)", re.DOTALL)
_CLEAR = frozenset({"PLAIN", "CLEAR", "CLEARTEXT"})
_CRYPT = frozenset(
    {"CRYPT", "DES-CRYPT", "MD5-CRYPT", "MD5", "SHA256-CRYPT", "SHA512-CRYPT", "BLF-CRYPT", "ARGON2I", "ARGON2ID"}
)
"""Whose value is a whole hash in the notation of crypt(3)."""
_LDAP = {"SSHA": "SSHA", "SSHA256": "SSHA256", "SSHA512": "SSHA512", "SMD5": "SMD5", "SHA": "SHA", "SHA1": "SHA"} | {
    "LDAP-MD5": "MD5"
}
_SCRAM = frozenset({"SCRAM-SHA-256", "SCRAM-SHA-1"})
_PBKDF2 = re.compile(r"\$1\$(?P<salt>[!-#%-~]{1,64})\$(?P<rounds>[1-9][0-9]{0,7})\$(?P<sum>[0-9a-f]{40})")


def read_value(place: str, name: str, text: str, *, is_disabled: bool = False) -> Account | Refusal:
    """The account that a value makes; one that names no scheme is in crypt(3)'s notation."""
    match = _SCHEME.fullmatch(text)
    scheme, value = (match["scheme"].upper(), match["value"]) if match else ("CRYPT", text)
    if not value:
        return Refusal(place, "has no password", name)
    if scheme in _CLEAR:
        return Account(place, name, password=value, is_disabled=is_disabled)
    if scheme in _SCRAM:
        return Account(place, name, scram=f"{{{scheme}}}{value}", is_disabled=is_disabled)
    if scheme in _CRYPT:
        return Account(place, name, hashed=value, is_disabled=is_disabled)
    if scheme in _LDAP:
        return Account(place, name, hashed=f"{{{_LDAP[scheme]}}}{value}", is_disabled=is_disabled)
    if scheme == "PBKDF2" and (pbkdf2 := _PBKDF2.fullmatch(value)):
        return Account(place, name, hashed=_pbkdf2(pbkdf2), is_disabled=is_disabled)
    if scheme == "CRAM-MD5":
        return Refusal(place, "holds what serves CRAM-MD5 alone: this user needs a new password", name)
    return Refusal(place, f"holds a password in the scheme {scheme}, which can't be taken", name)


def _pbkdf2(match: re.Match[str]) -> str:
    """Passlib's notation of Dovecot's: the salt is text there, the sum in hex."""
    salt, digest = match["salt"].encode(), binascii.unhexlify(match["sum"])
    return "$".join(("$pbkdf2", match["rounds"], *(_adapted_base64(octets) for octets in (salt, digest))))


def _adapted_base64(octets: bytes) -> str:
    return base64.b64encode(octets, b"./").decode().rstrip("=")
