"""Who may send what: the rules once more, from what README.md and docs/ promise, without a line of the product's.

It is a few tables of names that a test changes as an admin would, and three questions. Where the product answers them
from databases, networks and parsers, this has sets of strings, so the two can't share a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field

REALM = "example.com"
STATIC = frozenset(("203.0.113.7", "203.0.113.66", "127.0.0.5"))
DENIED = frozenset(("203.0.113.66",))
SHARED = frozenset(("198.51.100.65", "127.0.0.1"))
"""The last is where the balancers are."""
RELAY_DOMAIN = "backup.example"
SENDERS = {"alice": ("info@example.com",)}
"""Addresses beside a user's own."""
APP_SENDER = "alice@example.com"
"""The one address that alice's app password is good for."""


@dataclass(slots=True)
class Account:
    """What is true of a login that the store has."""

    password: str
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class Entitlement:
    """As whom somebody may send: `user` is empty for nobody in particular."""

    via: str
    user: str = ""
    only_sender: str = ""

    def may_name(self, sender: str) -> bool:
        """Whether MAIL may say this address, where users may name their own."""
        if not self.user:
            return True
        if self.only_sender:
            return sender == self.only_sender
        return not sender or self.is_author(sender)

    def is_author(self, address: str) -> bool:
        """Whether a message may be From this address."""
        if not self.user:
            return True
        local, _, domain = address.partition("@")
        is_own = domain == REALM and local.partition("+")[0] == self.user
        return is_own or address in SENDERS.get(self.user, ())

    def may_write_to(self, recipient: str, *, takes_rewritten: bool) -> bool:
        """Whether RCPT may say this address, where those are taken or not that sendmail might read as others."""
        is_rewritten = "%" in recipient or "!" in recipient
        if self.via != "relay":
            return takes_rewritten or not is_rewritten
        domain = recipient.rpartition("@")[2]
        return not is_rewritten and (domain == RELAY_DOMAIN or domain.endswith("." + RELAY_DOMAIN))


@dataclass(slots=True)
class World:
    """All that an admin and the mail servers know."""

    relays: bool
    """Whether mail for RELAY_DOMAIN is taken from anybody."""
    takes_rewritten: bool
    """Whether policy.rewritten_recipients is true."""
    accounts: dict[str, Account] = field(default_factory=dict)
    grants: dict[str, list[str]] = field(default_factory=dict)
    """Users by address, the one who read mail last at the end."""

    def is_good(self, user: str) -> bool:
        """Whether a user may be who somebody is."""
        return user in self.accounts and self.accounts[user].is_enabled

    def admit(self, address: str) -> Entitlement | None:
        """As whom somebody may send for nothing but where he comes from."""
        if address in DENIED:
            return None
        users = self.grants.get(address, [])
        if users and address not in SHARED:
            user = users[-1].lower()
            if user not in self.accounts or self.accounts[user].is_enabled:
                return Entitlement("pop", user)
        if address in STATIC:
            return Entitlement("static")
        return Entitlement("relay") if self.relays else None


@dataclass(slots=True)
class Transaction:
    """What a client may do until the end of a message."""

    entitlement: Entitlement
    recipients: int = 0
    has_begun: bool = False
    """Whether a chunk of the message was taken."""


@dataclass(slots=True)
class Visitor:
    """One connection, as somebody would know it who watched it from the service's side.

    What is named after a command is whether that has to be taken now, and notes that it was.
    """

    address: str
    is_open_to_addresses: bool
    offers_tls: bool
    certificate: str = ""
    """The user whom the certificate names that it shows, if it shows one."""
    has_tls: bool = False
    has_greeted: bool = False
    has_tried: bool = False
    proved: Entitlement | None = None
    transaction: Transaction | None = None

    def note_tls(self) -> None:
        """Know what TLS changes: nothing counts that was said before."""
        self.has_tls, self.has_greeted, self.proved = True, False, None

    def entitle(self, world: World) -> Entitlement | None:
        """As whom it may send now; a certificate that is enough is taken for a login from then on."""
        certified = self.certificate if self.has_tls and not self.has_tried else ""
        if self.proved is None and world.is_good(certified):
            self.proved = Entitlement("auth", certified)
        if self.proved is not None:
            return self.proved if world.is_good(self.proved.user) else None
        return world.admit(self.address) if self.is_open_to_addresses else None

    @property
    def may_authenticate(self) -> bool:
        """Whether AUTH comes at the right time."""
        return self.has_greeted and self.transaction is None and self.proved is None

    def hello(self) -> bool:
        """EHLO and HELO end a transaction, and leave who somebody is as it was."""
        self.has_greeted, self.transaction = True, None
        return True

    def rset(self) -> bool:
        """RSET ends a transaction."""
        self.transaction = None
        return True

    def starttls(self, *, is_alone: bool) -> bool:
        """STARTTLS, with something sent behind it or not."""
        return self.has_greeted and not self.transaction and self.offers_tls and not self.has_tls and is_alone

    def mail(self, world: World, sender: str) -> bool:
        """MAIL is where the gate is."""
        if not self.has_greeted or self.transaction:
            return False
        entitlement = self.entitle(world)
        if entitlement is None or not entitlement.may_name(sender):
            return False
        self.transaction = Transaction(entitlement)
        return True

    def rcpt(self, world: World, recipient: str) -> bool:
        """RCPT, to somebody whom this client may write to."""
        transaction = self.transaction
        if not transaction or transaction.has_begun:
            return False
        if not transaction.entitlement.may_write_to(recipient, takes_rewritten=world.takes_rewritten):
            return False
        transaction.recipients += 1
        return True

    def data(self, author: str) -> bool:
        """DATA and a message; it is over when there was something to be over."""
        transaction = self.transaction
        if not transaction or transaction.has_begun or not transaction.recipients:
            return False
        self.transaction = None
        return transaction.entitlement.is_author(author)

    def bdat(self, author: str, *, is_last: bool) -> bool:
        """A chunk; the first has the header."""
        transaction = self.transaction
        if not transaction or not transaction.recipients:
            return False
        is_due = transaction.has_begun or transaction.entitlement.is_author(author)
        transaction.has_begun = True
        if not is_due or is_last:
            self.transaction = None
        return is_due
