"""Thunderbird's autoconfig, which K-9, Evolution, KMail and others read too (draft-ietf-mailmaint-autoconfig).

It is asked for at https://autoconfig.DOMAIN/mail/config-v1.1.xml, and at DOMAIN itself below
/.well-known/autoconfig/mail/config-v1.1.xml. A program needs a server for incoming mail in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement

from submission.core.client_settings.settings import ClientSettings, LoginMethod, Server
from submission.core.client_settings.xml import serialize

_SOCKETS = {"implicit": "SSL", "starttls": "STARTTLS"}
_LOGINS = {
    LoginMethod.PASSWORD: "password-cleartext",
    LoginMethod.ENCRYPTED_PASSWORD: "password-encrypted",
    LoginMethod.TOKEN: "OAuth2",
    LoginMethod.CERTIFICATE: "TLS-client-cert",
}


def write(settings: ClientSettings) -> bytes:
    """The document for a realm. Raises NoWayError."""
    root = Element("clientConfig", version="1.1")
    provider = SubElement(root, "emailProvider", id=settings.realm)
    SubElement(provider, "domain").text = settings.realm
    SubElement(provider, "displayName").text = settings.realm
    SubElement(provider, "displayShortName").text = settings.realm
    incoming = settings.read_from
    # What is said about logins is our own: the other server's usual one is a password.
    _add(SubElement(provider, "incomingServer", type=incoming.protocol), incoming.server, [LoginMethod.PASSWORD])
    for server in settings.outgoing:
        _add(SubElement(provider, "outgoingServer", type="smtp"), server, settings.logins)
    return serialize(root)


def _add(element: Element, server: Server, logins: Sequence[LoginMethod]) -> None:
    SubElement(element, "hostname").text = server.host
    SubElement(element, "port").text = str(server.port)
    SubElement(element, "socketType").text = _SOCKETS[server.tls]
    SubElement(element, "username").text = "%EMAILADDRESS%"
    for login in logins:
        SubElement(element, "authentication").text = _LOGINS[login]
