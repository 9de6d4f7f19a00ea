"""docs/migration.md: what its table of symptoms has us say is what we say, and its links lead somewhere."""

from __future__ import annotations

import ast
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from submission.core import replies
from submission.core.addresses import Login, parse_mailbox
from submission.core.policy import refuse_sender
from submission.core.replies import Reply
from submission.core.transaction import Identity, Via
from tests.support import programs
from tests.support.events import Events
from tests.support.network import PATIENCE
from tests.support.server import Server, public_folder
from tests.support.sink import Sink

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/migration.md"
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def symptoms(heading: str) -> list[str]:
    """What is quoted in the first cells of the table under a heading."""
    text = DOCUMENT.read_text()
    (section,) = re.findall(rf"^### {heading}$(.*?)^##", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_every_reply_of_ours_is_one() -> None:
    ours = {value.text for value in vars(replies).values() if isinstance(value, Reply)}
    ours.add(replies.limit_reached("100 messages per hour", datetime(2026, 11, 21, 15, 5, tzinfo=UTC)).text)
    sender = parse_mailbox(b"bob@example.com")
    assert sender is not None
    ours.add(refuse_sender(sender, Identity(Via.AUTH, Login("alice", "example.com"))).text)
    shown = symptoms("What the proxy says")
    assert len(shown) == 20
    assert set(shown) <= ours


def literals() -> Iterator[str]:
    """Every string in the source, those that are written in pieces put together."""
    for file in (ROOT / "submission").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_what_a_start_says_and_the_log_is_in_the_source() -> None:
    source = "\n".join([*literals(), *map(os.strerror, range(1, 120))])
    words = [part for text in symptoms("What a start says") for part in text.split("; ")]
    words += [re.sub(r'^(reason|event)="?|[":].*', "", text) for text in symptoms("What its log says")]
    assert len(words) == 13
    assert [word for word in words if word not in source] == []


def openssl(*options: str) -> None:
    programs.require("openssl")
    command = ["openssl", "s_client", *options]
    subprocess.run(command, input=b"QUIT\n", capture_output=True, timeout=30, check=False)


def speak_in_the_clear(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.ports["implicit"]), PATIENCE) as client:
        client.sendall(b"EHLO client.example\r\n")
        client.recv(1)


def test_what_the_log_says_of_tls() -> None:
    """The reasons after the colon are OpenSSL's."""
    with Sink() as sink, public_folder() as folder, Server(folder, sink.address) as server:
        implicit, starttls = (f"127.0.0.1:{server.ports[kind]}" for kind in ("implicit", "starttls"))
        reasons = []
        for begin in (
            partial(openssl, "-connect", starttls),
            partial(speak_in_the_clear, server),
            partial(openssl, "-connect", implicit, "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"),
            partial(openssl, "-connect", implicit, "-verify_return_error"),
        ):
            events = Events(server)
            begin()
            reasons.append(events.wait("connection")["reason"])
    shown = [text.removeprefix("reason=").strip('"') for text in symptoms("What its log says") if "TLS" in text]
    assert [reason.startswith(text.removesuffix(" …")) for reason, text in zip(reasons, shown, strict=True)] == [
        True
    ] * 4


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if not re.match(r"[a-z]+:", target):
            name, _, anchor = target.partition("#")
            file = document.parent / name if name else document
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target


def anchors(document: Path) -> set[str]:
    """What headings can be linked by: lower case, without what is no letter, hyphens for blanks."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
