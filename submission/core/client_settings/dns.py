"""Lines for the zone of a domain, by which mail programs find its servers (RFC 6186, RFC 8314 section 5.1).

A lower number is preferred. A service that isn't there is said not to be, by the target `.`.
"""

from __future__ import annotations

from collections.abc import Iterator

from submission.core.client_settings.settings import ClientSettings

_SUBMISSION = {"implicit": "submissions", "starttls": "submission"}
_ABSENT = "0 0 0 ."


def write(settings: ClientSettings) -> bytes:
    """SRV records in the form of a zone file (RFC 1035 section 5)."""
    zone = settings.realm.rstrip(".")
    return "".join(f"_{service}._tcp.{zone}. IN SRV {data}\n" for service, data in _records(settings)).encode("ascii")


def _records(settings: ClientSettings) -> Iterator[tuple[str, str]]:
    offered = {server.tls for server in settings.outgoing}
    for priority, server in enumerate(settings.outgoing):
        yield _SUBMISSION[server.tls], f"{10 * priority} 1 {server.port} {server.host.rstrip('.')}."
    for tls, service in _SUBMISSION.items():
        if tls not in offered:
            yield service, _ABSENT
    if settings.incoming is not None:
        server = settings.incoming.server
        service = settings.incoming.protocol + ("s" if server.tls == "implicit" else "")
        yield service, f"0 1 {server.port} {server.host.rstrip('.')}."
