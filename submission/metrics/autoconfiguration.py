"""What mail programs ask a host for when a person types in an address, answered beside the status page.

    Thunderbird    /.well-known/autoconfig/mail/config-v1.1.xml, /mail/config-v1.1.xml
    Outlook        /autodiscover/autodiscover.xml, in any case, by POST
    Apple          /client.mobileconfig, a file that a person opens

They ask on port 80 or 443 of `autoconfig.DOMAIN` and the like, so a web server passes it on from there. It holds
nothing that isn't for everybody, so no token is wanted, and any name of a host is good.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from submission import logs
from submission.config.client_settings import client_settings
from submission.config.settings import Settings
from submission.core.client_settings import FORMATS, Incoming, NoWayError, document
from submission.metrics.http import Response

PATHS = {
    "/.well-known/autoconfig/mail/config-v1.1.xml": "autoconfig",
    "/mail/config-v1.1.xml": "autoconfig",
    "/autodiscover/autodiscover.xml": "autodiscover",
    "/client.mobileconfig": "mobileconfig",
}
"""In lower case, each with its format."""


def make_documents(settings: Settings) -> Mapping[str, Response]:
    """The answers by path in lower case; none unless they are wanted."""
    if not settings.metrics.client_config:
        return {}
    documents = {}
    for path, name in PATHS.items():
        try:
            found = client_settings(settings, incoming=Incoming.parse(f"imaps://{settings.hostname}"))
            documents[path] = Response(HTTPStatus.OK, document(name, found), FORMATS[name].media_type)
        except NoWayError as error:
            logs.warning("client-config-unavailable", path=path, reason=str(error))
    return documents
