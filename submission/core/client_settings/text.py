"""What a person types into a mail program."""

from __future__ import annotations

from submission.core.client_settings.settings import ClientSettings, LoginMethod, Server

_SECURITY = {"implicit": "SSL/TLS", "starttls": "STARTTLS"}
_LOGINS = {
    LoginMethod.PASSWORD: 'password, as "normal password"',
    LoginMethod.ENCRYPTED_PASSWORD: '"encrypted password", for programs that insist on it',
    LoginMethod.TOKEN: "OAuth2",
    LoginMethod.CERTIFICATE: "TLS certificate",
}


def write(settings: ClientSettings) -> bytes:
    """Lines for a person. Raises NoWayError."""
    lines = ["Outgoing mail (SMTP)"]
    for place, server in enumerate(settings.outgoing):
        lines += [f"  {'Server' if not place else 'or':<10} {_shown(server)}"]
    lines.append(f"  {'User name':<10} the whole of it, such as alice@{settings.realm}")
    for place, login in enumerate(settings.logins):
        lines.append(f"  {'Login' if not place else 'or':<10} {_LOGINS[login]}")
    if settings.incoming is not None:
        lines += ["", f"Incoming mail ({settings.incoming.protocol.upper()})"]
        lines += [f"  {'Server':<10} {_shown(settings.incoming.server)}"]
    return ("\n".join(lines) + "\n").encode()


def _shown(server: Server) -> str:
    return f"{server.host}, port {server.port}, {_SECURITY[server.tls]}"
