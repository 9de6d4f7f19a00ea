"""A configuration profile for Apple's Mail (payload com.apple.mail.managed of Apple's Device Management).

It holds neither name nor password: whoever installs it is asked for them. A profile of the same realm replaces the one
before, for its identifiers are the same.
"""

from __future__ import annotations

import plistlib
import uuid

from submission.core.client_settings.settings import ClientSettings, LoginMethod, NoWayError

_ACCOUNTS = {"imap": "EmailTypeIMAP", "pop3": "EmailTypePOP"}


def write(settings: ClientSettings) -> bytes:
    """The profile for a realm, not signed. Raises NoWayError."""
    incoming, outgoing = settings.read_from, settings.outgoing[0]
    identifier = ".".join([*reversed(settings.realm.split(".")), "submission"])
    account = {
        "PayloadType": "com.apple.mail.managed",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{identifier}.account",
        "PayloadUUID": _uuid(f"{identifier}.account"),
        "PayloadDisplayName": settings.realm,
        "EmailAccountDescription": settings.realm,
        "EmailAccountType": _ACCOUNTS[incoming.protocol],
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": incoming.server.host,
        "IncomingMailServerPortNumber": incoming.server.port,
        "IncomingMailServerUseSSL": True,
        "OutgoingMailServerAuthentication": _authentication(settings),
        "OutgoingMailServerHostName": outgoing.host,
        "OutgoingMailServerPortNumber": outgoing.port,
        "OutgoingMailServerUseSSL": True,  # STARTTLS, on a port that has no TLS from the start
        "OutgoingPasswordSameAsIncomingPassword": False,
    }
    profile = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": _uuid(identifier),
        "PayloadDisplayName": f"Mail of {settings.realm}",
        "PayloadContent": [account],
    }
    return plistlib.dumps(profile)


def _authentication(settings: ClientSettings) -> str:
    if LoginMethod.PASSWORD in settings.logins:
        return "EmailAuthPassword"
    if "CRAM-MD5" in settings.mechanisms:
        return "EmailAuthCRAMMD5"
    raise NoWayError("a profile knows PLAIN, LOGIN and CRAM-MD5 alone, and none of these is in auth.mechanisms")


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name)).upper()
