"""The settings of what clients, users and addresses may use up: the table `[limits]` and those below it."""

from __future__ import annotations

from pydantic import field_validator

from submission.config.tables import Table
from submission.config.values import Count, Octets, Quota, Seconds, Several
from submission.core.quotas import WINDOWS, Limit, limits_of


class AddressLimits(Table):
    """What may be sent from one address by who has not logged in; 0 is unlimited."""

    messages_per_hour: Quota = 0
    messages_per_day: Quota = 0
    recipients_per_hour: Quota = 0
    recipients_per_day: Quota = 0

    @property
    def windows(self) -> tuple[Limit, ...]:
        """Those that are set, of what is counted over time."""
        return limits_of(self.model_dump(include=set(WINDOWS)))


class UserLimits(AddressLimits):
    """What one user may send; 0 is unlimited."""

    first_time_recipients_per_day: Quota = 0
    connections: Quota = 0
    """At once, in all workers together."""
    alert: Several[str] = ()
    """The command that is run when a user has reached one of these, and its arguments; no shell reads it."""
    suspend: bool = False
    """Whether such a user is disabled."""

    @field_validator("alert")
    @classmethod
    def _alert(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what no program can be."""
        if command and not command[0].startswith("/"):
            raise ValueError('must begin with the absolute path of a program, such as ["/usr/local/bin/alert"]')
        return command


class Limits(Table):
    """What one client may use up."""

    message_size: Octets = 40 << 20
    """Or the relay's, if that is smaller."""
    recipients: Count = 100
    """Of one message."""
    connections: Count = 10000
    """At a time, in all workers together."""
    connections_per_ip: Count = 50
    """Of one address among these, or of one IPv6 /64."""
    command_timeout: Seconds = 300.0
    """Without a command, or without anything of a message."""
    auth_failures: Count = 5
    """In one connection, which is closed then."""
    user: UserLimits = UserLimits()
    address: AddressLimits = AddressLimits()
