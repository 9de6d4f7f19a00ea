"""Mail programs that ask how they are to be set up."""

from __future__ import annotations

import plistlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.monitored import monitored

WANTED = {"client_config": True}
LISTENER = "0.0.0.0:587"
OTHER = {"Host": "autoconfig.example.com"}


@pytest.mark.parametrize("path", ["/.well-known/autoconfig/mail/config-v1.1.xml", "/mail/config-v1.1.xml"])
async def test_thunderbird(tmp_path: Path, path: str) -> None:
    async with monitored(tmp_path, "127.0.0.1:9", WANTED, listener=LISTENER) as subject:
        answered = await subject.get(f"{path}?emailaddress=alice%40example.com", OTHER)
    assert (answered.status, answered.fields["content-type"]) == (200, "text/xml; charset=utf-8")
    server = ElementTree.fromstring(answered.body).find(".//outgoingServer[@type='smtp']")
    assert server is not None
    assert (server.findtext("hostname"), server.findtext("port")) == ("mail.example.com", "587")


async def test_outlook_which_posts(tmp_path: Path) -> None:
    async with monitored(tmp_path, "127.0.0.1:9", WANTED, listener=LISTENER) as subject:
        answered = await subject.get("/Autodiscover/Autodiscover.xml", OTHER, method="POST")
    assert answered.status == 200
    assert b"<Port>587</Port>" in answered.body


async def test_apple(tmp_path: Path) -> None:
    async with monitored(tmp_path, "127.0.0.1:9", WANTED, listener=LISTENER) as subject:
        answered = await subject.get("/client.mobileconfig", OTHER)
    (payload,) = plistlib.loads(answered.body)["PayloadContent"]
    assert payload["OutgoingMailServerPortNumber"] == 587


async def test_nobody_is_answered_unless_that_is_wanted(tmp_path: Path) -> None:
    async with monitored(tmp_path, "127.0.0.1:9", listener=LISTENER) as subject:
        assert (await subject.get("/mail/config-v1.1.xml", OTHER)).status == 421
        assert (await subject.get("/mail/config-v1.1.xml")).status == 404


async def test_the_page_is_not_for_everybody_because_of_that(tmp_path: Path) -> None:
    async with monitored(tmp_path, "127.0.0.1:9", WANTED, listener=LISTENER) as subject:
        assert (await subject.get("/status.json", OTHER)).status == 421
