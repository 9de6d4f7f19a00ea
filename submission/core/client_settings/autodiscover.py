"""Outlook's autodiscover, in its older form of plain XML, for servers that aren't Exchange ([MS-OXDSCLI]).

It is asked for by a POST to https://autodiscover.DOMAIN/autodiscover/autodiscover.xml. Outlook takes the address for
the user name where the answer has no LoginName.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from submission.core.client_settings.settings import ClientSettings, LoginMethod, NoWayError, Server
from submission.core.client_settings.xml import serialize

_OUTER = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_INNER = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_ENCRYPTIONS = {"implicit": "SSL", "starttls": "TLS"}


def write(settings: ClientSettings) -> bytes:
    """The document for a realm. Raises NoWayError."""
    if LoginMethod.PASSWORD not in settings.logins:
        raise NoWayError("Outlook knows PLAIN and LOGIN alone, and neither is in auth.mechanisms")
    root = Element("Autodiscover", xmlns=_OUTER)
    account = SubElement(SubElement(root, "Response", xmlns=_INNER), "Account")
    SubElement(account, "AccountType").text = "email"
    SubElement(account, "Action").text = "settings"
    if settings.incoming is not None:
        _add(account, settings.incoming.protocol.upper(), settings.incoming.server)
    smtp = _add(account, "SMTP", settings.outgoing[0])
    SubElement(smtp, "UsePOPAuth").text = "off"  # the passwords may be different ones
    SubElement(smtp, "SMTPLast").text = "off"
    return serialize(root)


def _add(account: Element, kind: str, server: Server) -> Element:
    protocol = SubElement(account, "Protocol")
    SubElement(protocol, "Type").text = kind
    SubElement(protocol, "Server").text = server.host
    SubElement(protocol, "Port").text = str(server.port)
    SubElement(protocol, "DomainRequired").text = "off"
    SubElement(protocol, "SPA").text = "off"
    SubElement(protocol, "SSL").text = "on"
    SubElement(protocol, "Encryption").text = _ENCRYPTIONS[server.tls]
    SubElement(protocol, "AuthRequired").text = "on"
    return protocol
