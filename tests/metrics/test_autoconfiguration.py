"""Mail programs that ask how they are to be set up."""

from __future__ import annotations

import plistlib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.monitored import monitored

LISTENER = "0.0.0.0:587"
OTHER = {"Host": "autoconfig.example.com"}


@pytest.fixture
def wanted(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "token").write_text("0123456789abcdef")
    return {"client_config": True, "token_file": str(tmp_path / "token")}


@pytest.mark.parametrize("path", ["/.well-known/autoconfig/mail/config-v1.1.xml", "/mail/config-v1.1.xml"])
async def test_thunderbird(tmp_path: Path, wanted: dict[str, object], path: str) -> None:
    async with monitored(tmp_path, "127.0.0.1:9", wanted, listener=LISTENER) as subject:
        answered = await subject.get(f"{path}?emailaddress=alice%40example.com", OTHER)
    assert (answered.status, answered.fields["content-type"]) == (200, "text/xml; charset=utf-8")
    server = ElementTree.fromstring(answered.body).find(".//outgoingServer[@type='smtp']")
    assert server is not None
    assert (server.findtext("hostname"), server.findtext("port")) == ("mail.example.com", "587")


async def test_outlook_which_posts(tmp_path: Path, wanted: dict[str, object]) -> None:
    async with monitored(tmp_path, "127.0.0.1:9", wanted, listener=LISTENER) as subject:
        answered = await subject.get("/Autodiscover/Autodiscover.xml", OTHER, method="POST")
    assert answered.status == 200
    assert b"<Port>587</Port>" in answered.body


async def test_apple(tmp_path: Path, wanted: dict[str, object]) -> None:
    async with monitored(tmp_path, "127.0.0.1:9", wanted, listener=LISTENER) as subject:
        answered = await subject.get("/client.mobileconfig", OTHER)
    (payload,) = plistlib.loads(answered.body)["PayloadContent"]
    assert payload["OutgoingMailServerPortNumber"] == 587


async def test_nobody_is_answered_unless_that_is_wanted(tmp_path: Path) -> None:
    async with monitored(tmp_path, "127.0.0.1:9", listener=LISTENER) as subject:
        assert (await subject.get("/mail/config-v1.1.xml", OTHER)).status == 421
        assert (await subject.get("/mail/config-v1.1.xml")).status == 404


@pytest.mark.parametrize("path", ["/status.json", "/metrics", "/healthz", "/"])
async def test_the_page_is_not_for_everybody_because_of_that(
    tmp_path: Path, wanted: dict[str, object], path: str
) -> None:
    async with monitored(tmp_path, "127.0.0.1:9", wanted, listener=LISTENER) as subject:
        assert (await subject.get(path, OTHER)).status == 401
        assert (await subject.get(path)).status == 401  # a web server's, that doesn't pass on which host was asked for
