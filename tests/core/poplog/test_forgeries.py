"""What strangers write into logs: no grant ever for an address that did not log in.

A stranger chooses the name that he fails to log in with, in full; one with an account may have a name that he chose;
the owner of an address chooses its name in DNS, of what resolvers let through; and any sender chooses what mail servers
log of his message. All of them know what a login looks like. Each line of templates/ is one as its server's source
formats it: `{user}`, `{name}` and `{text}` are theirs, `{ip}` is where they are.
"""

import ipaddress
import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.poplog import PopLogin
from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS
from tests.support.poplog import FOLDER, NOW, all_sessions, everything, templates

REAL = b"198.51.100.23"
FORGED = b"203.0.113.66"
SYSLOG = b"Nov 21 02:19:24 mail "

SUCCESSES = templates("successes")
"""Lines of logins, whose name may be of the user's choice."""
FAILURES = templates("failures")
"""Lines that are no login, whatever is written into them."""
CONNECTS = templates("connects")
"""Lines that go before the success of sessions which name their address there."""

NAMES = [b"client7.example.net", b"203.0.113.66", b"_203.0.113.66_", b"203.0.113.66.", b"x" * 200]
NARROW = ("cucipop", "exchange", "xmail", "hmailserver")
"""Formats that refuse names with blanks or quotes in them."""
SEPARATORS = [b"", b"\n", b"#012", b"^J", b"\r", b"\0", b"\t", b" ", b"...", b">", b"]", b"'", b'"', b",", b";", b"#"]


def fill(template: str, user: bytes = b"joe", name: bytes = b"client7.example.net", text: bytes = b"x") -> bytes:
    whole = template.removeprefix("whole: ")
    line = (SYSLOG if whole == template else b"") + whole.encode()
    for key, value in ((b"{ip}", REAL), (b"{name}", name), (b"{user}", user), (b"{text}", text)):
        line = line.replace(key, value)
    return line


def cases(table: dict[str, list[str]]) -> list[str]:
    return [template for lines in table.values() for template in lines]


def forged_lines() -> Iterator[bytes]:
    """Every login that we know, for the forged address: whole lines, and messages of this file's successes."""
    for session in all_sessions():
        for line in session:
            if line.is_login:
                address = line.verdict.split(" ")[-2].encode()
                yield line.text.replace(address, FORGED).replace(b"2001:DB8:1:2:0:0:0:ABCD", FORGED)
    for template in cases(SUCCESSES) + cases(CONNECTS):
        yield fill(template).replace(REAL, FORGED)


def payloads() -> list[bytes]:
    """What a stranger would write: whole lines, messages, their tails from the name on, and each between separators."""
    whole = dict.fromkeys(forged_lines())
    parts = dict.fromkeys(whole)
    for line in whole:
        message = re.split(rb"[a-z0-9./-]+(?:\[[0-9]+\])?: ", line, maxsplit=1)[-1]
        user = re.search(rb"joe|anna", message)
        parts |= dict.fromkeys((message, message[user.start() :] if user else message))
    tails = [b" " + part for part in parts] + [b"joe" + part[part.find(b"joe") + 3 :] for part in parts]
    return [*parts, *dict.fromkeys(tails)]


PAYLOADS = payloads()


def refused_or_real(login: PopLogin | None) -> bool:
    return login is None or str(login.address) == REAL.decode()


@pytest.mark.parametrize("template", cases(FAILURES))
def test_no_line_but_a_login_grants_anything(template: str) -> None:
    reader = everything()
    for payload in PAYLOADS:
        line = fill(template, user=payload, text=payload)
        assert reader.feed(line, NOW) is None, line


@pytest.mark.parametrize("template", cases(FAILURES))
def test_nor_between_separators_nor_for_what_dns_says(template: str) -> None:
    reader = everything()
    for payload, before, after in itertools.product(PAYLOADS[::17], SEPARATORS, (b"", b"\n", b"#012", b" ")):
        text = before + payload + after
        line = fill(template, user=text, text=text, name=NAMES[len(text) % len(NAMES)])
        assert reader.feed(line, NOW) is None, line


@pytest.mark.parametrize(
    ("family", "template"), [(family, template) for family, templates in SUCCESSES.items() for template in templates]
)
def test_a_login_grants_its_own_address_or_none(family: str, template: str) -> None:
    """Where popa3d isn't patched, its patch's format must not be named: its lines end like a name could."""
    formats = [known for name, known in FORMATS.items() if name != "popa3d-patched" or family == name]
    for befores in (CONNECTS.get(family, []), []):
        for payload, name in itertools.product(PAYLOADS, NAMES[:2]):
            reader = Reader(formats)
            for before in befores:
                assert reader.feed(fill(before, user=payload, name=name), NOW) is None
            line = fill(template, user=payload, name=name)
            assert refused_or_real(reader.feed(line, NOW)), line


@pytest.mark.parametrize(
    ("family", "template"), [(family, template) for family, templates in SUCCESSES.items() for template in templates]
)
def test_odd_names_log_in(family: str, template: str) -> None:
    """The templates are right: without an attack each of them is a login, of people with odd names too."""
    users = [b"joe", b"joe@example.com", b"[203.0.113.66]", b"o'brien", b"<joe>"]
    users += [] if family in NARROW else [b"joe smith", b'joe"quoted"']
    for user in users:
        reader = everything()
        for before in CONNECTS.get(family, ()):
            reader.feed(fill(before, user=user), NOW)
        login = reader.feed(fill(template, user=user), NOW)
        assert login is not None, (template, user)
        assert login.server == family
        assert login.user.startswith(user.decode()) or family == "exchange"
        assert login.address == ipaddress.ip_address(REAL.decode())


@pytest.mark.parametrize("template", cases(SUCCESSES) + cases(FAILURES))
def test_a_line_that_syslog_cut_grants_nothing(template: str) -> None:
    """The cut takes the server's own words away, and those of the name are left."""
    reader = everything()
    limits = (1024, 2048) if template.startswith("whole: ") else (256, 1024, 2048)
    for payload, limit in itertools.product(PAYLOADS[::17], limits):
        line = fill(template, user=b"%" + payload, text=b"%" + payload)
        if limit == 256:  # busybox
            line = SYSLOG + b"mail.info " + line.removeprefix(SYSLOG)
        cut = line.find(payload) + len(payload)
        for length in range(cut - 3, cut + 3):
            padded = line[:length].replace(b"%", b"x" * (limit - length), 1)
            assert reader.feed(padded, NOW) is None, padded


@pytest.mark.parametrize("family", CONNECTS)
def test_no_line_opens_a_session_or_changes_it(family: str) -> None:
    """Lines of the same process that hold what looks like the line with an address, and then a login."""
    for payload, failure in itertools.product(PAYLOADS[::11], FAILURES.get(family, ())):
        fresh, opened = everything(), everything()
        for before in CONNECTS[family]:
            opened.feed(fill(before), NOW)
        line = re.sub(rb"(pop3d|imap4d)\[[0-9]+\]", rb"\1[29]", fill(failure, user=payload, text=payload))
        for reader in (fresh, opened):
            assert reader.feed(line, NOW) is None, line
            for template in SUCCESSES[family]:
                login = reader.feed(fill(template), NOW)
                assert refused_or_real(login), line
                assert login is None or reader is opened or "{ip}" in template, line


FRAGMENTS = [REAL, FORGED, *SEPARATORS, *(re.escape(name.encode()) for name in FORMATS)] + [
    piece.encode() for template in cases(SUCCESSES) + cases(CONNECTS) for piece in re.split(r"\{[a-z]+\}", template)
]


@given(
    template=st.sampled_from(cases(FAILURES)),
    text=st.lists(st.sampled_from(FRAGMENTS), max_size=8).map(b"".join),
    name=st.sampled_from(NAMES),
)
def test_pieces_of_logins_are_none(template: str, text: bytes, name: bytes) -> None:
    assert everything().feed(fill(template, user=text, text=text, name=name), NOW) is None


@given(
    template=st.sampled_from(cases(SUCCESSES)),
    text=st.lists(st.sampled_from(FRAGMENTS), max_size=8).map(b"".join),
    name=st.sampled_from(NAMES),
)
def test_pieces_of_logins_never_change_the_address(template: str, text: bytes, name: bytes) -> None:
    reader = Reader([known for known in FORMATS.values() if known.name != "popa3d-patched"])
    reader.feed(SYSLOG + b"popa3d[30]: Session from " + REAL, NOW)
    assert refused_or_real(reader.feed(fill(template, user=text, name=name), NOW))


def test_nginx_file_with_line_feeds_in_a_name() -> None:
    """Each of the lines is perfect, and all but the first are a stranger's: none counts."""
    name = b'x"\n2026/11/21 03:59:59 [info] 38#38: *9 client logged in, client: ' + FORGED
    name += b', server: 192.0.2.1:110, login: "joe", upstream: 192.0.2.1:11110\nx'
    line = fill(FAILURES["nginx"][0], user=name).removeprefix(SYSLOG + b"mail nginx: ")
    reader = everything()
    assert [reader.feed(part, NOW) for part in line.split(b"\n")] == [None, None, None]


def test_a_password_of_a_guest_is_no_end_of_a_line() -> None:
    line = b"imapd[1]: login: [" + REAL + b"] anonymous me@example.org PLAIN User logged in"
    assert everything().feed(SYSLOG + line, NOW) is None


def test_lines_are_recorded_for_every_template() -> None:
    assert {file.stem for file in FOLDER.glob("*.txt")} >= SUCCESSES.keys()
