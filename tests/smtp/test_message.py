"""A message by DATA through a session in this process to a relay that keeps it: however its octets are cut."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from submission.core import replies
from tests.support.noting_relay import make_pool
from tests.support.submitting import TakingRelay, contents, cut, is_clean, submitting

ENVELOPE = b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@test.example>\r\nRCPT TO:<carol@test.example>\r\nDATA\r\n"
AS_IT_IS = {"policy": {"complete_header": False}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@given(content=contents, pipelines=st.booleans(), data=st.data())
@example(content=b".\r\n..\r\n\r\n.x\r\n", pipelines=True, data=None)
@example(content=b"one\r\n.\ntwo\r\n", pipelines=True, data=None)
async def test_however_it_is_cut_the_relay_gets_the_same_message(
    content: bytes, pipelines: bool, data: st.DataObject | None, folder: Path
) -> None:
    whole = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    body = (b"\r\n" + whole).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\nNOOP\r\n"
    relay = TakingRelay([b"PIPELINING"] if pipelines else [])
    async with relay.running() as address, submitting(folder, make_pool(address), AS_IT_IS) as client:
        await client.send(*cut(ENVELOPE, data))
        assert [(await client.reply())[:4] for _ in range(4)] == [b"250 ", b"250 ", b"250 ", b"354 "]
        await client.send(*cut(body, data))
        verdict = b"250 2.0.0 taken\r\n" if is_clean(whole) else replies.BARE_LINE_ENDINGS.encode()
        assert await client.reply() == verdict
        assert await client.reply() == replies.OK.encode()
    assert relay.messages == ([whole] if is_clean(whole) else [])
    assert [line[:4] for line in relay.commands if line[:4] not in (b"EHLO", b"QUIT")] == [
        *(b"MAIL", b"RCPT", b"RCPT", b"DATA")
    ]
