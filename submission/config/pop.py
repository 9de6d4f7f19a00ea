"""The settings of POP before SMTP: the table `[pop_before_smtp]` and those below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from submission.config.tables import Table
from submission.config.text import shown
from submission.config.values import (
    Domain,
    Lifetime,
    LogSource,
    NetworksOrNames,
    NetworksOrOctets,
    OptionalPath,
    PopFormat,
    Several,
    not_empty,
)
from submission.core.poplog.pattern import Pattern, PatternError
from submission.core.poplog.registry import FORMATS

_WIDEST = {4: 8, 6: 16}
"""The shortest prefixes that somebody can have for himself: 10.0.0.0/8, and what no registry gives to one customer."""


class Sendmail(Table):
    """How sendmail's own port 25 shares the table."""

    socketmap: OptionalPath = None
    """A socket that sendmail asks at each recipient."""
    text_map: OptionalPath = None
    """A file that sendmail reads at each lookup."""
    access_map: OptionalPath = None
    """sendmail's access file, in which our lines are kept, with `.db` made by makemap and `.static` merged in."""


class PopPattern(Table):
    """A pattern of the admin's own, for a server that no format knows."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """What it is called in the log."""
    regex: str
    """Matches `program: message`, or the whole of a line without syslog's header; groups `user` and `ip`."""
    samples: Annotated[Several[str], not_empty]
    """Whole lines that it must find a login in."""


class PopBeforeSmtp(Table):
    """Who may send because he has just read mail. Nothing here has an effect unless `enabled`."""

    enabled: bool = False
    """Whether who has just read mail may send."""
    lifetime: Lifetime = 1800.0
    """For how long after the last login."""
    logs: Several[LogSource] = ("/var/log/mail.log",)
    """Files, `journal`, or `syslog:` and a socket that a syslog daemon writes to."""
    formats: Several[PopFormat] = ()
    """Which servers' lines count. `submission pop detect` proposes some; each widens what can be forged."""
    static: NetworksOrNames = ()
    """Who may always send."""
    deny: NetworksOrOctets = ()
    """Who never may, whatever the log says."""
    shared: NetworksOrOctets = ()
    """Where many people are behind one address: webmail, proxies, carriers' NAT. A login from there is no grant."""
    relay_domains: Several[Domain] = ()
    """Domains that anybody may send to, with all below them: those that this host is a backup for."""
    pattern: Several[PopPattern] = ()
    sendmail: Sendmail = Sendmail()


def pop_faults(pop: PopBeforeSmtp) -> Mapping[str, str]:
    """Own patterns that can't be used, miss a sample, or have the name of another, and static for all; by full key."""
    faults = {}
    for number, static in enumerate(pop.static):
        if not isinstance(static, str) and static.prefixlen < _WIDEST[static.version]:
            allowed = f"must be a network of /{_WIDEST[static.version]} or narrower"
            faults[f"pop_before_smtp.static[{number}]"] = f'"{static}" would let half the world send, {allowed}'
    names = Counter([*FORMATS, *(entry.name for entry in pop.pattern)])
    for number, entry in enumerate(pop.pattern):
        key = f"pop_before_smtp.pattern[{number}]"
        if names[entry.name] > 1:
            faults[f"{key}.name"] = f"{shown(entry.name)} is the name of another pattern or of a format"
        try:
            missed = Pattern(entry.name, entry.regex).unmatched(entry.samples)
        except PatternError as error:
            faults[f"{key}.regex"] = str(error)
            continue
        for sample in missed:
            faults[f"{key}.samples[{sample}]"] = "holds no login by the regex, must be a whole line that it matches"
    return faults
