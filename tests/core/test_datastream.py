"""The end-of-data scanner against a model that reads RFC 5321 octet by octet, with the whole stream at hand."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from submission.core import replies
from submission.core.datastream import END, MAX_LINE, DataScanner, LineChecker
from submission.core.replies import Reply

PLENTY = 1_000_000

# Mostly octets that matter, so that ends, near ends and faults are common.
streams = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b".", b"\r\n", b"\r\n.\r\n", b"\r\n..", b"\0", b"a", b"bcd", b" ", b"\xff", b"x" * 9]
    ),
    max_size=24,
).map(b"".join)
clean_lines = st.lists(st.text("abc. ", max_size=12).map(str.encode), max_size=8)


def stuffed(lines: list[bytes]) -> bytes:
    """A message as a client sends it (RFC 5321 section 4.5.2), without its end."""
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)


def split_at_the_end(stream: bytes) -> tuple[bytes, bytes | None]:
    """Content, and what follows the end; None for the latter where the data don't end in `stream`.

    Section 4.1.1.4: the data end with a line that holds a period only, and a line ends with CRLF only. The data's
    first line has nothing before it.
    """
    if stream.startswith(b".\r\n"):
        return b"", stream[3:]
    for position in range(len(stream) - 4):
        if stream[position : position + 5] == b"\r\n.\r\n":
            return stream[: position + 2], stream[position + 5 :]
    return stream, None


def faults(content: bytes, max_size: int, max_line: int) -> set[Reply]:
    """Everything that is wrong with content that is whole (sections 2.3.8, 4.5.2 and 4.5.3.1)."""
    found = set()
    for position, octet in enumerate(content):
        is_bare_cr = octet == 13 and content[position + 1 : position + 2] != b"\n"
        is_bare_lf = octet == 10 and (position == 0 or content[position - 1] != 13)
        if is_bare_cr or is_bare_lf or octet == 0:
            found.add(replies.BARE_LINE_ENDINGS)
    if any(len(line) > max_line for line in content.split(b"\r\n")):
        found.add(replies.LINES_TOO_LONG)
    if len(content) > max_size:
        found.add(replies.MESSAGE_TOO_BIG)
    return found


def cut(data: st.DataObject, stream: bytes) -> list[bytes]:
    """The stream in pieces, empty ones too."""
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12), label="places to cut"))
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


def feed(scanner: DataScanner, chunks: list[bytes]) -> tuple[bytes, bytes]:
    """What was passed on, and what a session would read next."""
    passed = bytearray()
    for number, chunk in enumerate(chunks):
        passed += scanner.feed(chunk)
        if scanner.ended:
            return bytes(passed), scanner.rest + b"".join(chunks[number + 1 :])
    return bytes(passed), b""


def check(stream: bytes, chunks: list[bytes], max_size: int = PLENTY, max_line: int = PLENTY) -> None:
    content, rest = split_at_the_end(stream)
    wrong = faults(content, max_size, max_line)
    scanner = DataScanner(max_size, max_line)
    passed, scanner_rest = feed(scanner, chunks)

    assert scanner.ended == (rest is not None)
    assert content.startswith(passed)
    if rest is not None:
        assert scanner_rest == rest
        assert scanner.size == len(content)
        if wrong:
            assert scanner.fault in wrong
        else:
            assert scanner.fault is None
            assert passed == content
    else:
        assert len(content) - scanner.size <= 4
        assert scanner.fault is None or scanner.fault in wrong
        if scanner.fault is None:
            assert len(passed) == scanner.size
    # Nothing that is wrong went out: a CR at the very end of what went out may still find its LF.
    assert not faults(passed + b"\n" if passed.endswith(b"\r") else passed, PLENTY, PLENTY)
    assert len(passed) <= max_size
    assert all(len(line.rstrip(b"\r")) <= max_line + 2 for line in passed.split(b"\n"))


@given(st.data(), streams, st.sampled_from([0, 5, 20, PLENTY]), st.sampled_from([1, 4, 10, PLENTY]))
def test_any_stream_cut_anywhere_is_read_as_the_rfc_says(
    data: st.DataObject, stream: bytes, max_size: int, max_line: int
) -> None:
    check(stream, cut(data, stream), max_size, max_line)


@given(streams, st.sampled_from([0, 5, 20, PLENTY]), st.sampled_from([1, 4, 10, PLENTY]))
def test_any_stream_octet_by_octet(stream: bytes, max_size: int, max_line: int) -> None:
    check(stream, [stream[i : i + 1] for i in range(len(stream))], max_size, max_line)


@given(st.data(), clean_lines, st.binary(max_size=12))
@example(None, [], b"QUIT\r\n")
@example(None, [b".", b"..", b"", b"."], b"MAIL FROM:<>\r\n")
def test_a_clean_message_goes_through_octet_for_octet(
    data: st.DataObject | None, lines: list[bytes], commands: bytes
) -> None:
    message = stuffed(lines)
    stream = message + END + commands
    scanner = DataScanner(PLENTY)
    passed, rest = feed(scanner, cut(data, stream) if data else [stream])
    assert (passed, rest, scanner.fault, scanner.ended) == (message, commands, None, True)
    assert scanner.size == len(message)


@given(st.data(), clean_lines)
def test_without_its_end_a_message_never_ends(data: st.DataObject, lines: list[bytes]) -> None:
    stream = stuffed(lines)
    scanner = DataScanner(PLENTY)
    passed, _ = feed(scanner, cut(data, stream))
    assert not scanner.ended
    assert scanner.rest == b""
    assert stream.startswith(passed)


# What servers were found to take for an end of data, or to make one of on the way out (CVE-2023-51764, -51765, -51766,
# CVE-2023-52354, CVE-2024-27305, and the scanners written since), with the names that those scanners use.
SMUGGLING = {
    "lf.lf": b"\n.\n",
    "lf.crlf": b"\n.\r\n",
    "crlf.lf": b"\r\n.\n",
    "lf.cr": b"\n.\r",
    "cr.lf": b"\r.\n",
    "cr.cr": b"\r.\r",
    "crlf.cr": b"\r\n.\r",
    "cr.crlf": b"\r.\r\n",
    "lfcr.lfcr": b"\n\r.\n\r",
    "crlflf": b"\r\n\n.\r\n\n",
    "crcrlf": b"\r\r\n.\r\r\n",
    "crlfcr": b"\r\n\r.\r\n\r",
    "nullbefore": b"\r\n\0.\r\n",
    "nullafter": b"\r\n.\0\r\n",
    "null between cr and lf": b"\r\0\n.\r\n",
    "null before the last lf": b"\r\n.\r\0\n",
}
SECOND = b"MAIL FROM:<admin@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nfake\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 1000])
@pytest.mark.parametrize("mark", SMUGGLING.values(), ids=SMUGGLING)
def test_smuggling(mark: bytes, size: int) -> None:
    """The second message stays inside the first, which is refused; nothing from the odd mark on goes out."""
    first = b"Subject: hi\r\n\r\nbody"
    stream = first + mark + SECOND + b"\r\n.\r\n" + b"QUIT\r\n"
    scanner = DataScanner(PLENTY)
    passed, rest = feed(scanner, [stream[i : i + size] for i in range(0, len(stream), size)])
    assert scanner.ended
    assert scanner.fault == replies.BARE_LINE_ENDINGS
    assert b"MAIL" not in passed
    assert b"MAIL" not in rest
    assert rest == b"QUIT\r\n"
    assert (first + mark).startswith(passed)
    assert b"\n." not in passed.replace(b"\r\n.", b"")


@pytest.mark.parametrize("mark", [b"\r\n.\r\r\n", b"\r\n.\r\n\r"])
def test_a_bare_cr_behind_the_dot_or_behind_the_end(mark: bytes) -> None:
    stream = b"body" + mark + SECOND + b".\r\n"
    scanner = DataScanner(PLENTY)
    passed, rest = feed(scanner, [stream])
    if mark.startswith(b"\r\n.\r\n"):  # a true end: what follows is the session's, which refuses such a command
        assert (passed, rest) == (b"body\r\n", b"\r" + SECOND + b".\r\n")
    else:
        assert (passed, rest, scanner.fault) == (b"", b"", replies.BARE_LINE_ENDINGS)


@pytest.mark.parametrize(
    ("stream", "content", "rest"),
    [
        (b".\r\n", b"", b""),
        (b".\r\n.\r\n", b"", b".\r\n"),
        (b"\r\n.\r\n", b"\r\n", b""),
        (b"..\r\n.\r\n", b"..\r\n", b""),
        (b"...\r\n.\r\n", b"...\r\n", b""),
        (b". \r\n.\r\n", b". \r\n", b""),
        (b" .\r\n.\r\n", b" .\r\n", b""),
        (b"a.\r\n.\r\n", b"a.\r\n", b""),
        (b"\r\n\r\n.\r\n.\r\n", b"\r\n\r\n", b".\r\n"),
        (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100])
def test_ends(stream: bytes, content: bytes, rest: bytes, size: int) -> None:
    scanner = DataScanner(PLENTY)
    chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert (*feed(scanner, chunks), scanner.ended, scanner.fault) == (content, rest, True, None)


@pytest.mark.parametrize(
    "stream", [b".", b".\r", b".\n", b"..\r\n", b"a\r\n.", b"a\r\n.\r", b"a.\r\n", b"\r\n..\r\n", b""]
)
def test_no_ends(stream: bytes) -> None:
    scanner = DataScanner(PLENTY)
    scanner.feed(stream)
    assert not scanner.ended


def test_no_more_than_the_beginning_of_an_end_is_held_back() -> None:
    scanner = DataScanner(PLENTY)
    assert scanner.feed(b"a" * 1000) == b"a" * 996
    assert scanner.feed(b"\r\n.\r") == b"a" * 4
    assert scanner.feed(b"\n") == b"\r\n"
    assert scanner.ended


@pytest.mark.parametrize("bad", [b"bare\nline", b"bare\rline", b"nul\0", b"x" * 101, b"a\r\n" * 400])
def test_of_a_faulty_piece_and_all_that_follows_nothing_goes_out(bad: bytes) -> None:
    scanner = DataScanner(max_size=1000, max_line=100)
    scanner.feed(b"good\r\n")
    assert scanner.feed(bad + b"\r\nmore\r\n") == b""
    assert scanner.fault is not None
    assert scanner.feed(b"good again\r\n" * 10) == b""
    assert scanner.feed(b".\r\n") == b""
    assert scanner.ended


def test_the_first_fault_stays() -> None:
    scanner = DataScanner(max_size=30, max_line=10)
    scanner.feed(b"a long line, yes\r\n")
    assert scanner.fault == replies.LINES_TOO_LONG
    scanner.feed(b"bare\nand nul\0" + b"x" * 50)
    assert scanner.fault == replies.LINES_TOO_LONG
    assert scanner.size > 30  # counted on, for whoever decides how much more of it is read


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(("length", "is_allowed"), [(19, True), (20, True), (21, False), (22, False), (23, False)])
@pytest.mark.parametrize("before", [b"", b"short\r\n", b"x" * 20 + b"\r\n"])
@pytest.mark.parametrize("after", [b"", b"short\r\n" * 9])
def test_lines_of_the_longest_length_and_one_more(
    before: bytes, after: bytes, length: int, is_allowed: bool, size: int
) -> None:
    stream = before + b"y" * length + b"\r\n" + after + END
    scanner = DataScanner(PLENTY, max_line=20)
    feed(scanner, [stream[i : i + size] for i in range(0, len(stream), size)])
    assert scanner.ended
    assert scanner.fault == (None if is_allowed else replies.LINES_TOO_LONG)


def test_a_line_without_end_is_noticed_before_its_end() -> None:
    scanner = DataScanner(PLENTY * 10)
    passed = 0
    for _ in range(40):
        passed += len(scanner.feed(b"x" * 65536))
    assert scanner.fault == replies.LINES_TOO_LONG
    assert passed <= MAX_LINE + 2


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(("limit", "is_allowed"), [(13, False), (14, True)])
def test_size_counts_the_message_without_its_end(limit: int, is_allowed: bool, size: int) -> None:
    stream = b"0123456789\r\n\r\n.\r\n"
    scanner = DataScanner(limit)
    feed(scanner, [stream[i : i + size] for i in range(0, len(stream), size)])
    assert scanner.size == 14
    assert scanner.fault == (None if is_allowed else replies.MESSAGE_TOO_BIG)


def test_the_empty_message_has_no_size() -> None:
    scanner = DataScanner(0)
    assert scanner.feed(b".\r\n") == b""
    assert (scanner.size, scanner.fault, scanner.ended) == (0, None, True)


@given(st.data(), st.lists(st.binary(max_size=6), max_size=8))
def test_the_checker_by_itself_allows_what_has_pairs_and_no_nul(data: st.DataObject, lines: list[bytes]) -> None:
    content = b"\r\n".join(lines) + b"\r\n"
    checker = LineChecker(PLENTY)
    for chunk in cut(data, content):
        checker.feed(chunk)
    assert (checker.fault is None) == (not faults(content, PLENTY, PLENTY))
    assert checker.size == len(content)


@pytest.mark.parametrize(
    ("chunks", "is_fault"),
    [((b"one\r",), True), ((b"one\r", b"\n"), False), ((b"one\r\n",), False), ((), False), ((b"\r\n", b"\r"), True)],
)
def test_a_cr_at_the_very_end_has_no_lf(chunks: tuple[bytes, ...], is_fault: bool) -> None:
    checker = LineChecker(1000)
    for chunk in chunks:
        checker.feed(chunk)
    assert checker.fault is None
    checker.finish()
    assert checker.fault is (replies.BARE_LINE_ENDINGS if is_fault else None)


def test_the_first_fault_is_the_one_that_is_told() -> None:
    checker = LineChecker(2)
    checker.feed(b"too long\r")
    assert checker.fault is replies.MESSAGE_TOO_BIG
    checker.finish()
    assert checker.fault is replies.MESSAGE_TOO_BIG
