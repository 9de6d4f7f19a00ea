"""Maps as files, read by a real sendmail; what belongs to others in them stays."""

import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.sendmail.files import MapError, key_of, merge, write_access_map, write_text_map
from tests.sendmail.test_socketmap import reply_to_recipient
from tests.support import programs
from tests.support.sendmail import MAKEMAP, Sendmail

ABROAD, LOCAL = "bob@elsewhere.example", "alice@test.example"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def makemap(monkeypatch: pytest.MonkeyPatch) -> None:
    programs.require_file(MAKEMAP, "sendmail")
    monkeypatch.setenv("PATH", f"{MAKEMAP.parent}:{os.environ['PATH']}")


def test_addresses_as_sendmail_names_them() -> None:
    assert key_of("192.0.2.50") == "192.0.2.50"
    assert key_of("2001:db8::50") == "IPv6:2001:db8:0:0:0:0:0:50"


def test_a_text_map_is_written_when_something_changed(tmp_path: Path) -> None:
    path = tmp_path / "popip"
    assert write_text_map(path, {"192.0.2.50": "joe@example.com", "2001:db8::50": "a b|c\n"})
    assert path.read_text() == "192.0.2.50|joe@example.com\nipv6:2001:db8:0:0:0:0:0:50|a?b?c?\n"
    before = path.stat()
    assert not write_text_map(path, {"192.0.2.50": "joe@example.com", "2001:db8::50": "a b|c\n"})
    assert path.stat() == before
    path.chmod(0o640)
    assert write_text_map(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["popip"]


def test_a_text_map_that_there_is_no_room_to_replace_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "popip"
    path.touch(0o640)
    assert write_text_map(path, {"192.0.2.50": "joe@example.com", "192.0.2.51": "ann@example.com"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, limits[1]))
    try:
        with pytest.raises(MapError, match="popip: File too large"):
            write_text_map(path, {"192.0.2.50": "joe@example.com"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["popip"]
    assert write_text_map(path, {"192.0.2.50": "joe@example.com"})


def test_a_real_sendmail_reads_the_text_map_at_each_question(tmp_path: Path) -> None:
    path = tmp_path / "popip"
    with Sendmail(tmp_path / "sendmail", popip=f"text -T<TMPF> -k0 -v1 -z| {path}") as sendmail:
        assert reply_to_recipient(sendmail.port, "127.0.0.8", ABROAD)[0] in (550, 451)
        write_text_map(path, {"127.0.0.8": "joe@example.com"})
        assert reply_to_recipient(sendmail.port, "127.0.0.8", ABROAD)[0] == 250
        assert reply_to_recipient(sendmail.port, "127.0.0.9", ABROAD)[0] == 550
        write_text_map(path, {})
        assert reply_to_recipient(sendmail.port, "127.0.0.8", ABROAD)[0] == 550
        assert reply_to_recipient(sendmail.port, "127.0.0.8", LOCAL)[0] == 250


def test_a_real_sendmail_with_the_access_file_that_makemap_makes(tmp_path: Path, makemap: None) -> None:
    path = tmp_path / "access"
    path.write_text("Connect:127.0.0.7\tREJECT\n")
    path.with_name("access.static").write_text("Connect:127.0.0.6\tRELAY")
    assert write_access_map(path, ["127.0.0.7"])
    with Sendmail(tmp_path / "sendmail", access=f"hash -T<TMPF> {path}") as sendmail:
        assert reply_to_recipient(sendmail.port, "127.0.0.6", ABROAD)[0] == 250
        assert reply_to_recipient(sendmail.port, "127.0.0.8", ABROAD)[0] == 550
        assert write_access_map(path, ["127.0.0.7", "127.0.0.8"])
        assert not write_access_map(path, ["127.0.0.8", "127.0.0.7"])
        assert reply_to_recipient(sendmail.port, "127.0.0.8", ABROAD)[0] == 250
        assert write_access_map(path, [])
        assert reply_to_recipient(sendmail.port, "127.0.0.8", ABROAD)[0] == 550
    assert path.read_text().startswith("Connect:127.0.0.7\tREJECT\n# BEGIN")
    assert names(tmp_path) == ["access", "access.db", "access.static", "sendmail"]


def test_a_first_database_can_be_opened_by_sendmail_whatever_the_umask(tmp_path: Path, makemap: None) -> None:
    path = tmp_path / "access"
    before = os.umask(0o077)
    try:
        assert write_access_map(path, ["192.0.2.50"])
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.with_name("access.db").stat().st_mode) == 0o644
    path.with_name("access.db").chmod(0o640)
    assert write_access_map(path, [])
    assert stat.S_IMODE(path.with_name("access.db").stat().st_mode) == 0o640


def test_where_makemap_fails_nothing_is_replaced(
    tmp_path: Path, makemap: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "access"
    assert write_access_map(path, ["192.0.2.50"])
    text, database = path.read_bytes(), path.with_name("access.db").read_bytes()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "makemap"
    program.write_text('#!/bin/sh\necho >"$2.db"\necho "put error: No space left on device" >&2\nexit 74\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(MapError, match=r"access: makemap failed: .*No space left"):
        write_access_map(path, ["192.0.2.50", "192.0.2.51"])
    assert (path.read_bytes(), path.with_name("access.db").read_bytes()) == (text, database)
    assert names(tmp_path) == ["access", "access.db", "bin"]


def test_a_line_that_makemap_does_not_take_keeps_no_grant_in_the_file(
    tmp_path: Path, makemap: None, logged: Callable[[], list[dict[str, object]]]
) -> None:
    """An admin's slip may stand there for years; by hand he gets a database without that line, too."""
    path = tmp_path / "access"
    assert write_access_map(path, ["127.0.0.8"])
    path.with_name("access.static").write_text("one-word\nConnect:127.0.0.5\tRELAY\n")
    path.write_text(f" Connect:10.0.0.1\tREJECT\nConnect:127.0.0.5\tREJECT\n{path.read_text()}127.0.0.6\tRELAY\n")
    with Sendmail(tmp_path / "sendmail", access=f"hash -T<TMPF> {path}") as sendmail:
        assert reply_to_recipient(sendmail.port, "127.0.0.8", ABROAD)[0] == 250
        assert write_access_map(path, [])
        assert reply_to_recipient(sendmail.port, "127.0.0.8", ABROAD)[0] == 550
        assert reply_to_recipient(sendmail.port, "127.0.0.6", ABROAD)[0] == 250
        assert reply_to_recipient(sendmail.port, "127.0.0.5", ABROAD)[0] == 550
    (line,) = logged()
    assert (line["event"], line["file"]) == ("map-lines-refused", str(path))
    assert line["reason"] == (
        "line 1: syntax error (leading space); line 4: no RHS for LHS one-word; "
        "line 5: key connect:127.0.0.5: duplicate key"
    )
    assert not write_access_map(path, [])


def test_a_database_that_is_older_than_its_text_is_made_again(tmp_path: Path, makemap: None) -> None:
    """Somebody was killed in between: it may have grants that the text has not."""
    path = tmp_path / "access"
    database = path.with_name("access.db")
    assert write_access_map(path, ["192.0.2.50"])
    before = database.read_bytes()
    assert write_access_map(path, [])
    database.write_bytes(before)
    os.utime(database, (0, 0))
    assert write_access_map(path, [])
    assert b"192.0.2.50" not in database.read_bytes()
    assert not write_access_map(path, [])


def test_a_database_of_a_time_when_the_clock_was_ahead_is_made_again(tmp_path: Path, makemap: None) -> None:
    path = tmp_path / "access"
    database = path.with_name("access.db")
    assert write_access_map(path, ["192.0.2.50"])
    path.write_text(f"10.0.0.1\tREJECT\n{path.read_text()}")
    os.utime(database, (9e9, 9e9))
    assert write_access_map(path, ["192.0.2.50"])
    assert b"10.0.0.1" in database.read_bytes()
    assert not write_access_map(path, ["192.0.2.50"])


def test_a_link_to_an_access_file_elsewhere_stays_one_with_its_database_beside_it(
    tmp_path: Path, makemap: None
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "relay").mkdir()
    path = tmp_path / "relay" / "access"
    path.symlink_to("../etc/access")
    assert write_access_map(path, ["192.0.2.50"])
    assert not write_access_map(path, ["192.0.2.50"])
    assert (names(tmp_path / "etc"), names(tmp_path / "relay")) == (["access"], ["access", "access.db"])
    assert path.is_symlink()


def test_what_an_admin_writes_while_makemap_is_busy_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    path, program = tmp_path / "access", tmp_path / "bin" / "makemap"
    program.write_text(f'#!/bin/sh\necho "10.0.0.1\tREJECT" >{path}\nwhile read line; do echo; done >"$2.db"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    with pytest.raises(MapError, match="somebody else"):
        write_access_map(path, ["192.0.2.50"])
    assert path.read_text().startswith("10.0.0.1")
    assert "192.0.2.50" not in path.read_text()
    assert names(tmp_path) == ["access", "bin"]


def test_without_makemap_the_admin_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("submission.sendmail.files._MAKEMAP", ())
    with pytest.raises(MapError, match="needs makemap"):
        write_access_map(tmp_path / "access", [])
    assert names(tmp_path) == []


def test_half_a_block_is_the_admin_s_to_mend() -> None:
    with pytest.raises(MapError, match="without the other"):
        merge("# BEGIN submission-proxy\n192.0.2.1\tRELAY\n", "", "access.static", [])


def test_static_lines_that_are_a_copy_of_the_access_file_hold_no_grants() -> None:
    before = merge("10.0.0.1\tREJECT\n", "", "access.static", ["192.0.2.50"])
    text = merge(before, before, "access.static", [])
    assert "192.0.2.50" not in text
    assert merge(text, before, "access.static", []) == text


@pytest.mark.parametrize(
    ("first", "second"),
    [("192.0.2\tREJECT", "192.0.2\tOK"), ("192.0.2\tOK", "192.0.2\tREJECT"), ("192.0.2\x0cREJECT", "# note")],
)
def test_a_refusal_counts_wherever_it_stands(first: str, second: str) -> None:
    """makemap takes the first of two lines for a key, and a form feed for a blank."""
    assert "RELAY" not in merge(f"{first}\n{second}\n", "", "access.static", ["192.0.2.50"])


LINES = st.lists(
    st.sampled_from(["10.0.0.1\tREJECT", "# note", "", "From:a@b\tOK", "Connect:192.0.2.1\tREJECT"]), max_size=4
)


@given(LINES, LINES, LINES, st.sets(st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"])), st.booleans())
def test_other_people_s_lines_survive_whatever_was_there(
    above: list[str], below: list[str], static: list[str], addresses: set[str], ends: bool
) -> None:
    lines = "\n".join(static)
    before = (
        "".join(f"{line}\n" for line in above) + merge("", "", "s", ["192.0.2.9"]) + "".join(f"{x}\n" for x in below)
    )
    text = merge(before, lines, "s", addresses)
    assert text.splitlines()[: len(above)] == above
    assert text.splitlines()[len(text.splitlines()) - len(below) :] == below
    assert merge(text, lines, "s", addresses) == text
    keys = [line.split("\t")[0].lower() for line in text.splitlines() if line.endswith("\tRELAY")]
    assert len(keys) == len(set(keys))
    rejects = "Connect:192.0.2.1\tREJECT" in (*above, *below, *static)
    assert ("connect:192.0.2.1" in keys) == ("192.0.2.1" in addresses and not rejects)
    assert "connect:192.0.2.9" not in keys


@pytest.mark.parametrize(
    ("line", "is_refused"),
    [
        ("Connect:192.0.2\tREJECT", True),
        ("192\t550 no", True),
        ("connect:192.0\tERROR:5.7.1:550 no", True),
        ('Connect:192.0.2\t"550 no"', True),
        ("Connect:192.0.2\tQUARANTINE:no", True),
        ("Connect:192.0.2\tRELAY # for now", True),
        ("Connect:192.0.2\tRELAY", False),
        ("Connect:192.0.2\tok \r", False),
        ("Connect:192.0.20\tREJECT", False),
        ("#Connect:192.0.2\tREJECT", False),
        ("IPv6:2001:db8\tDISCARD", False),
    ],
)
def test_an_address_of_a_network_that_the_admin_refuses_is_not_let_in(line: str, is_refused: bool) -> None:
    text = merge(f"{line}\n", "", "access.static", ["192.0.2.50"])
    assert ("Connect:192.0.2.50\tRELAY" not in text) == is_refused


def test_nor_one_of_an_ipv6_network() -> None:
    text = merge("Connect:IPv6:2001:db8\tREJECT\n", "", "access.static", ["2001:db8::50", "2001:db9::50"])
    assert text.count("RELAY") == 1
