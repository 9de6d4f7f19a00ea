"""What EHLO offers (RFC 5321 section 4.1.1.1): ours, and those of the relay that we only pass through."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

_SIZE = re.compile(r"[0-9]{1,20}")
_RECIPIENTS = re.compile(r"(?:^| )RCPTMAX=([1-9][0-9]{0,5})(?: |$)", re.IGNORECASE)
_OWN = ("PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING", "HELP")
_RELAYED = ("8BITMIME", "DSN", "SMTPUTF8", "DELIVERBY")


def message_limit(relay: Mapping[str, str], own: int) -> int:
    """Octets of a message: our limit or the relay's, whichever is smaller (RFC 1870; a relay's 0 is none)."""
    return _smaller(relay.get("SIZE", ""), own)


@lru_cache(maxsize=16)  # it is asked several times for each message
def _smaller(stated: str, own: int) -> int:
    limit = int(stated) if _SIZE.fullmatch(stated) else 0
    return min(limit, own) if limit else own


def recipient_limit(relay: Mapping[str, str], own: int) -> int:
    """Recipients of a message: our limit or the relay's, whichever is smaller (RFC 9422 section 4)."""
    stated = _RECIPIENTS.search(relay.get("LIMITS", ""))
    return min(int(stated[1]), own) if stated else own


def offer(
    relay: Mapping[str, str], *, max_size: int, max_recipients: int, mechanisms: Sequence[str], can_start_tls: bool
) -> Mapping[str, str]:
    """Keyword to its parameters, in the order of the reply. `relay` is what the relay's own EHLO has, likewise."""
    extensions = dict.fromkeys(_OWN, "")
    extensions["SIZE"] = str(max_size)
    extensions["LIMITS"] = f"RCPTMAX={max_recipients}"
    extensions |= {keyword: relay[keyword] for keyword in _RELAYED if keyword in relay}
    if mechanisms:
        extensions["AUTH"] = " ".join(mechanisms)
    if can_start_tls:
        extensions["STARTTLS"] = ""
    return extensions
