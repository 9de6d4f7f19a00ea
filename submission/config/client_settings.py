"""What the configuration means for mail programs: which listeners they can use, and as whom."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from submission.config.settings import Settings
from submission.config.text import shown
from submission.config.values import DOMAIN, TcpAddress, UnixAddress
from submission.core.client_settings import ClientSettings, Incoming, NoWayError, Server
from submission.core.client_settings.settings import TlsMode

_USUAL: dict[TlsMode, int] = {"implicit": 465, "starttls": 587}
"""In the order of RFC 8314 section 3.3."""


def client_settings(settings: Settings, realm: str = "", incoming: Incoming | None = None) -> ClientSettings:
    """What users of `realm`, or of the usual one, have to know.

    A socket that systemd passes is taken to be at its usual port, and so is one behind a balancer. Raises NoWayError
    where no listener is for people, or the realm is no domain, so that it isn't that of addresses either.
    """
    realm = realm or settings.auth.realm
    if not DOMAIN.fullmatch(realm):
        raise NoWayError(f"the realm {shown(realm)} is not a domain, which mail programs go by")
    servers = set(_servers(settings))
    if not servers:
        raise NoWayError("no listener speaks TLS at an address that others can reach")
    modes = list(_USUAL)
    best_first = sorted(
        servers, key=lambda server: (modes.index(server.tls), server.port != _USUAL[server.tls], server.port)
    )
    return ClientSettings(realm, tuple(best_first), settings.auth.mechanisms, incoming)


def _servers(settings: Settings) -> Iterator[Server]:
    for listener in settings.listen:
        if listener.tls == "none" or isinstance(listener.address, UnixAddress):
            continue
        port = _USUAL[listener.tls]
        if isinstance(listener.address, TcpAddress) and not listener.proxy_protocol:
            if ipaddress.ip_address(listener.address.host).is_loopback:
                continue
            port = listener.address.port
        yield Server(settings.hostname, port, listener.tls)
