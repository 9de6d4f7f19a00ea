"""Settings of what a message has to be like, and whose name a user may send in: core/policy.py has the rules."""

from __future__ import annotations

from typing import Annotated, Literal

from submission.config.identifiers import AddressOrDomain, LoginName
from submission.config.tables import Table
from submission.config.values import Several, not_empty
from submission.core.addresses import Login
from submission.core.policy import SenderRule, SenderRules


class Senders(Table):
    """What a user may send as besides its own address."""

    user: LoginName
    """The login: a user, or user@realm."""
    addresses: Annotated[Several[AddressOrDomain], not_empty]
    """Addresses, each also with tags, and `@` with a domain for all addresses there."""


class Policy(Table):
    """What a message has to be like, and whose name a user may send in."""

    sender: SenderRule = "any"
    """As whom in MAIL: `any` is whoever it says, `realm` addresses of the user's domain, `own` the user's own."""
    from_header: SenderRule = "any"
    """Likewise, in the From field of the message."""
    senders: Several[Senders] = ()
    log_only: bool = False
    """Whether these three are only tried: what they would refuse is in the log."""
    missing_from: Literal["pass", "refuse"] = "pass"
    """What becomes of a message without one From field that can be read."""
    complete_header: bool = True
    """Whether an authenticated user's message gets Date and Message-ID where it has none."""
    remove_bcc: bool = False
    """Whether Bcc fields are taken out."""
    rewritten_recipients: bool = False
    """Whether addresses are taken that sendmail might read as others: `user%host@domain`, `host!user@domain`."""
    prevent_credential_leaks: bool = False
    """Whether a message is refused that holds the password with which its user has logged in."""
    hide_client: bool = True
    """Whether Received names neither the client's address nor its login."""

    def sender_rules(self, realm: str) -> SenderRules:
        """The rules, for users of this realm where they are named without one."""
        more: dict[bytes, tuple[bytes, ...]] = {}
        for entry in self.senders:
            login = str(Login.parse(entry.user, realm)).encode().lower()
            more[login] = more.get(login, ()) + tuple(address.encode().lower() for address in entry.addresses)
        return SenderRules(self.sender, self.from_header, more, is_enforced=not self.log_only)
