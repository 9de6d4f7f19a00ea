"""What to tell mail programs about the service, in each of the formats that they read.

`settings.py` says what there is to tell, and a file a format how: `document("autoconfig", settings)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from submission.core.client_settings import autoconfig, autodiscover, dns, mobileconfig, text
from submission.core.client_settings.settings import ClientSettings, Incoming, NoWayError, Server

__all__ = ["FORMATS", "ClientSettings", "Incoming", "NoWayError", "Server", "document"]


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write it down; the media type is HTTP's Content-Type."""

    media_type: str
    write: Callable[[ClientSettings], bytes]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "text": Format("text/plain; charset=utf-8", text.write),
        "autoconfig": Format("text/xml; charset=utf-8", autoconfig.write),
        "mobileconfig": Format("application/x-apple-aspen-config", mobileconfig.write),
        "autodiscover": Format("text/xml; charset=utf-8", autodiscover.write),
        "dns": Format("text/plain; charset=utf-8", dns.write),
    }
)


def document(name: str, settings: ClientSettings) -> bytes:
    """The settings in one of FORMATS. Raises NoWayError where the format can't tell of any way to log in."""
    return FORMATS[name].write(settings)
