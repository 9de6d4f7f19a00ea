"""A message by BDAT through a session in this process, to a relay that knows BDAT, and to one that doesn't: however it
is divided into chunks, and however the client's octets are cut."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from submission.core import replies
from tests.support.noting_relay import make_pool
from tests.support.submitting import TakingRelay, contents, cut, is_clean, submitting

ENVELOPE = b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@test.example>\r\n"
AS_IT_IS = {"policy": {"complete_header": False}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@given(content=contents, ends_empty=st.booleans(), knows_chunks=st.booleans(), data=st.data())
@example(content=b"BDAT 0 LAST\r\nQUIT\r\n.\r\n", ends_empty=True, knows_chunks=True, data=None)
@example(content=b"waiting\r", ends_empty=True, knows_chunks=True, data=None)
@example(content=b"waiting\r", ends_empty=True, knows_chunks=False, data=None)
@example(content=b".\r\n.", ends_empty=False, knows_chunks=False, data=None)
@example(content=b"", ends_empty=True, knows_chunks=True, data=None)
async def test_however_it_is_divided_and_cut_the_relay_gets_the_same_message(
    content: bytes, ends_empty: bool, knows_chunks: bool, data: st.DataObject | None, folder: Path
) -> None:
    chunks = [*cut(content, data), *([b""] if ends_empty else [])]
    commands = [b"BDAT %d\r\n" % len(chunk) for chunk in chunks]
    commands[-1] = commands[-1].replace(b"\r\n", b" LAST\r\n")
    conversation = ENVELOPE + b"".join(map(bytes.__add__, commands, chunks)) + b"NOOP\r\n"
    relay = TakingRelay([b"PIPELINING", *([b"CHUNKING"] if knows_chunks else [])])
    async with relay.running() as address, submitting(folder, make_pool(address), AS_IT_IS) as client:
        await client.send(*cut(conversation, data))
        heard = [await client.reply() for _ in range(len(chunks) + 3)]
    assert heard[-1] == replies.OK.encode()
    if is_clean(content):
        assert {reply[:4] for reply in heard} == {b"250 "}
        is_open = not knows_chunks and bool(content) and not content.endswith(b"\r\n")
        assert relay.messages == [content + b"\r\n" if is_open else content]
    else:
        assert replies.BARE_LINE_ENDINGS.encode() in heard
        assert relay.messages == []
