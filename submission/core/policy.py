"""Whose name a user may send in, and to which forms of a recipient: the rules, without knowing who asks or why.

A login may send as

    any     whoever it says
    realm   any address of its realm's domain
    own     its own address, `user@realm`, also with a tag (`user+anything@realm`)

and, by a line of [[policy.senders]], as further addresses and whole domains (`@list.example.com`). The rule for the
envelope and that for the From field are two. The null sender is nobody's name, so it is always allowed. The case of
ASCII letters doesn't matter: mail programs change it, and no host that we relay to tells `Alice` from `alice`. Other
letters have to be the same octets, for folding them makes different names equal.

A client that sends as nobody in particular (from a static network, or to a relay domain) is under no rule of these:
what it may do is decided by where it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from submission.core.addresses import Login, Mailbox
from submission.core.replies import Reply, own
from submission.core.transaction import Identity, Via

SenderRule: TypeAlias = Literal["any", "realm", "own"]

_REWRITTEN = re.compile(rb'[%!@:"\\]')
"""In a local part: what sendmail takes for a further address to send to, once the domain is its own."""


@dataclass(frozen=True, slots=True)
class SenderRules:
    """The rules of an installation. `more` is login to addresses and `@domain`s, ASCII letters in lower case."""

    envelope: SenderRule = "any"
    from_field: SenderRule = "any"
    more: Mapping[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    is_enforced: bool = True
    """Where False, a refusal is only logged."""

    def allows_sender(self, login: Login, sender: Mailbox) -> bool:
        """Whether a login may name this address in MAIL."""
        return not sender.text or self._allows(self.envelope, login, sender.text)

    def find_foreign(self, login: Login, addresses: Iterable[bytes]) -> bytes | None:
        """The first of the addresses of From that a login may not name there; None where it may name all."""
        return next((address for address in addresses if not self._allows(self.from_field, login, address)), None)

    def _allows(self, rule: SenderRule, login: Login, address: bytes) -> bool:
        if rule == "any":
            return True
        local, _, domain = address.lower().rpartition(b"@")
        user, realm = login.user.encode().lower(), login.realm.encode().lower()
        if not local:
            return False
        if domain == realm and (rule == "realm" or is_own(local, user)):
            return True
        more = (each.rpartition(b"@") for each in self.more.get(user + b"@" + realm, ()))
        return any(domain == of_domain and (not name or is_own(local, name)) for name, _, of_domain in more)


def is_own(local: bytes, user: bytes) -> bool:
    """Whether a local part is a user's, with a tag or without."""
    return local == user or (local.startswith(user + b"+") and len(local) > len(user) + 1)


def refuse_sender(address: Mailbox, identity: Identity) -> Reply:
    """The reply to a sender that a client may not name."""
    return own(553, "7.1", f"Sender <{_shown(address.text)}> is not one of {_whose(identity)}")


def refuse_app_sender(address: Mailbox, login: Login) -> Reply:
    """The reply to a sender that the app password which a login used isn't good for."""
    shown = _shown(address.text), _shown(str(login).encode())
    return own(553, "7.1", f"Sender <{shown[0]}> is not one that this app password of {shown[1]} is good for")


def refuse_from(address: bytes, identity: Identity) -> Reply:
    """The reply to a message whose From a client may not name."""
    return own(553, "7.1", f"From <{_shown(address)}> is not one of {_whose(identity)}")


def is_rewritten(recipient: Mailbox) -> bool:
    """Whether sendmail might find another recipient in this one: percent, bang, route, or an @ in quotes."""
    return _REWRITTEN.search(recipient.local) is not None


def _whose(identity: Identity) -> str:
    """Whose name it should be. A login is told to who proved it: by a grant, strangers at an address send, too."""
    if identity.via is Via.AUTH:
        return _shown(str(identity.login).encode())
    return "the user who has read mail from your address"


def _shown(text: bytes) -> str:
    """For a reply: ASCII that stays on its line."""
    return "".join(char if "!" <= char <= "~" else "?" for char in text.decode("utf-8", "replace"))[:200]
