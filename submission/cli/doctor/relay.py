"""Whether the relay takes our messages, what it offers to clients by us, and whom else it relays for.

Nothing is sent: every transaction ends with RSET before DATA.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator, Mapping

from submission.cli.doctor.conversation import Conversation, ConversationError
from submission.cli.doctor.doors import own_address
from submission.cli.doctor.verdict import Outcome, Place, Verdict
from submission.config import Settings
from submission.config.values import TcpAddress
from submission.core import replies
from submission.core.replies import Reply
from submission.relay.connection import connect
from submission.relay.pipe import Pipe, RelayError

BANNER, REACHED, EXTENSIONS = "banner", "connection", "extensions"
RELAYS, RELAYS_FOR_OTHERS = "relays for us", "relays for others"

TIMEOUT = 30.0
"""Seconds for a reply; a relay may ask DNS about a recipient."""

_LACKS = {
    "SIZE": "a message that is too big is sent whole before it is refused",
    "PIPELINING": "each command of a client costs a round trip",
    "8BITMIME": "clients send mail in other languages as 7 bits, or refuse to",
    "DSN": "clients can't ask for a notice of delivery, or for none of failure",
    "ENHANCEDSTATUSCODES": "refusals tell clients less about why",
}
"""What it means that the relay doesn't offer a keyword."""

_ELSEWHERE = "victim@example.com"
_OPEN = (_ELSEWHERE, "victim%example.com@{host}", "@{host}:victim@example.com", "example.com!victim@{host}")


def try_relay(settings: Settings) -> Iterator[Verdict]:
    """All that the service needs of the relay, by its own way to it."""
    place = Place(f"relay {settings.relay.address}")
    if settings.relay.tls != "implicit":
        banner = _banner(place, settings)
        yield banner
        if banner.outcome is not Outcome.OK:
            return
    try:
        extensions, taken = asyncio.run(_ask(settings))
    except RelayError as error:
        yield place.failed(REACHED, f"{error}; clients hear 451 until that is mended")
        return
    yield place.ok(REACHED, f'as the service connects, tls = "{settings.relay.tls}"')
    yield from _extensions(place, extensions)
    yield _relays(place, taken)
    yield _relays_for_others(place, settings)


def _banner(place: Place, settings: Settings) -> Verdict:
    try:
        with Conversation(settings.relay.address) as conversation:
            greeting = conversation.greeting
    except ConversationError as error:
        return place.silent(BANNER, f"no answer: {error}; is sendmail running, and does it listen there?")
    if greeting == replies.greeting(settings.hostname):
        text = "this service itself: every message would go round for ever; relay.address has to be sendmail's"
        return place.failed(BANNER, text)
    if greeting.code != 220:
        return place.failed(BANNER, f"{greeting.text}: it takes nothing now, its log says why")
    return place.ok(BANNER, f"{'sendmail' if 'Sendmail' in greeting.text else 'not sendmail'}: {greeting.text}")


async def _ask(settings: Settings) -> tuple[Mapping[str, str], list[Reply]]:
    """What EHLO offers, and the replies to a transaction that goes as far as a recipient elsewhere."""
    connection = await connect(settings.relay, settings.hostname)
    commands = ("MAIL FROM:<>", f"RCPT TO:<{_ELSEWHERE}>", "RSET")
    taken = [await _said(connection.pipe, command) for command in commands]
    connection.pipe.abort("done")
    return connection.extensions, taken


async def _said(pipe: Pipe, command: str) -> Reply:
    future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    pipe.send(command.encode() + b"\r\n", TIMEOUT, future)
    return await future


def _extensions(place: Place, offered: Mapping[str, str]) -> Iterator[Verdict]:
    missing = [keyword for keyword in _LACKS if keyword not in offered]
    for keyword in missing:
        yield place.warning(EXTENSIONS, f"no {keyword}: {_LACKS[keyword]}")
    if not missing:
        yield place.ok(EXTENSIONS, " ".join(offered))


def _relays(place: Place, taken: list[Reply]) -> Verdict:
    """Whether it would have taken a message of ours."""
    for command, reply in zip(("MAIL", "RCPT"), taken, strict=False):
        if reply.code >= 500:
            text = f"{command} for {_ELSEWHERE} is refused, {reply.text}: it has to relay for this host, or users get"
            return place.failed(RELAYS, f"{text} that reply (sendmail: Connect:127.0.0.1 RELAY in its access map)")
        if not reply.is_positive:
            return place.warning(RELAYS, f"{command} for {_ELSEWHERE} is put off, {reply.text}")
    return place.ok(RELAYS, f"a recipient elsewhere is accepted: {taken[1].text}")


def _relays_for_others(place: Place, settings: Settings) -> Verdict:
    """Whether it is an open relay itself, as far as that can be seen from this machine.

    An address of the machine's own is no proof: sendmail relays for those whose name is its own, Postfix for its
    network.
    """
    address = settings.relay.address
    if not isinstance(address, TcpAddress) or not _is_loopback(address.host):
        return place.not_tried(RELAYS_FOR_OTHERS, "it isn't on a loopback port of this host: nobody else can be played")
    own = own_address("::" if ":" in address.host else "0.0.0.0")  # noqa: S104 - not bound to
    if own is None:
        return place.not_tried(RELAYS_FOR_OTHERS, "this machine has no address but loopback")
    accepted = []
    try:
        with Conversation(TcpAddress(own, address.port)) as conversation:
            conversation.hello("stranger.example.org")
            conversation.say("MAIL FROM:<>")
            for form in _OPEN:
                recipient = form.format(host=settings.hostname)
                if conversation.say(f"RCPT TO:<{recipient}>").is_positive:
                    accepted.append(recipient)
            conversation.say("RSET")
    except ConversationError as error:
        return place.ok(RELAYS_FOR_OTHERS, f"not by {own}: {error}")
    if accepted:
        text = (
            f"{accepted[0]} is accepted from {own}. If it is so from elsewhere, it is an OPEN RELAY: try it from there"
        )
        return place.warning(RELAYS_FOR_OTHERS, text)
    return place.ok(RELAYS_FOR_OTHERS, f"refuses recipients elsewhere from {own}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
