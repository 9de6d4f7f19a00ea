import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from submission.credentials.hashing import (
    FOREIGN,
    MAX_PASSWORD,
    check_distributions,
    check_foreign,
    hash_password,
    needs_update,
    prepare,
    verify,
)
from submission.credentials.store import StoreUnavailableError

PASSWORD = "correct horse"
KEPT = hash_password(PASSWORD)


def test_a_hash_is_argon2id_with_costs_and_a_salt_of_its_own() -> None:
    assert re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22,}\$[A-Za-z0-9+/]{43}", KEPT)
    assert hash_password(PASSWORD) != KEPT


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=40))
@example("p\u00e4ssw\u00f6rd")
@example("x" * MAX_PASSWORD)
def test_only_the_password_itself_is_right(password: str) -> None:
    kept = hash_password(password)
    assert verify(password, kept)
    assert not verify(password + "x", kept)
    assert not verify(password[:-1], kept)


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "x",
        "!",
        PASSWORD,
        "$argon2id$",
        "$argon2id$v=19$m=19456,t=2,p=1$$",
        KEPT[:-1],
        KEPT + "A",
        KEPT.replace("argon2id", "argon2i"),
        KEPT.replace("t=2", "t=1"),
        "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/",
        "{PLAIN}" + PASSWORD,
        "\x00",
    ],
    ids=range(13),
)
def test_nothing_but_a_hash_lets_anybody_in(kept: str) -> None:
    for password in (PASSWORD, "", kept, "nobody's password"):
        assert not verify(password, kept)


@pytest.mark.parametrize("password", ["\x00", "a\x00b", "\ud800", "x" * 100_000])
def test_a_password_that_can_be_none_is_wrong_and_no_fault(password: str) -> None:
    assert not verify(password, KEPT)
    assert not verify(password, "")


def test_without_a_hash_the_time_is_spent_all_the_same() -> None:
    def cost(kept: str) -> float:
        costs = []
        for _ in range(5):
            begin = time.thread_time()
            verify("wrong", kept)
            costs.append(time.thread_time() - begin)
        return min(costs)

    assert 0.5 < cost("") / cost(KEPT) < 2


@pytest.mark.parametrize(
    ("text", "prepared"),  # the examples of RFC 4013 section 3, and a space that isn't ASCII's
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u00ad", ""),
    ],
)
def test_prepares_as_saslprep_does(text: str, prepared: str) -> None:
    assert prepare(text) == prepared


@pytest.mark.parametrize("text", ["\x07", "\u06271", "secret\x00", "secret\n", "secret\ud800", "secret\u202e"])
def test_refuses_what_saslprep_refuses_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 4013") as caught:
        prepare(text)
    assert "secret" not in str(caught.value)


def test_bounds_a_password_in_octets() -> None:
    assert prepare("\u00e4" * (MAX_PASSWORD // 2))
    for text in ("\u00e4" * (MAX_PASSWORD // 2) + "x", "x" * 10_000_000, "\ufdfa" * 300):  # which is 18 letters long
        with pytest.raises(ValueError, match="longer than 1024 octets"):
            prepare(text)


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_any_text_is_prepared_or_refused(text: str) -> None:
    try:
        prepared = prepare(text)
    except ValueError:
        return
    assert not any(char < " " or char == "\x7f" for char in prepared)
    if text.isascii():
        assert prepared == text


def test_the_two_distributions_of_passlib_are_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_distributions()
    (tmp_path / "passlib-1.7.4.dist-info").mkdir()
    (tmp_path / "passlib-1.7.4.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: passlib\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StoreUnavailableError, match="uninstall both"):
        check_distributions()


def test_a_hash_of_other_costs_is_to_be_made_anew() -> None:
    assert not needs_update(KEPT)
    assert needs_update("$argon2id$v=19$m=4096,t=1,p=1$c29tZXNhbHQ$cYGGHa2RfEE/wFDNAVqkhyKqb5EOckF5NkZ4gsgHP3E")


WITHOUT_MEMORY = """
import resource
from pathlib import Path
from submission.credentials.hashing import hash_password, verify
from submission.credentials.store import StoreUnavailableError

kept = hash_password("x")
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 4 * 2**20, used + 4 * 2**20))
for question in (lambda: verify("x", kept), lambda: verify("x", ""), lambda: hash_password("x")):
    try:
        print(question())
    except StoreUnavailableError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")
def test_short_of_memory_is_not_a_wrong_password() -> None:
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # so that freed memory is given back, and can be missed
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY], env=environment, capture_output=True, text=True, timeout=30
    )
    assert result.stdout.count("is there memory enough?") == 3, result.stdout + result.stderr
    assert "argon2" not in result.stdout  # the library's own text holds the hash


ELSEWHERE = {
    # Each of the password "password", by passlib; tests/peers has those of other programs.
    "bcrypt": "$2b$04$aSyDjVVhdhNZ2qhl6INPRue2u2j2aIad2mNEJIHiKQbofSLJQ8E9q",
    "sha512_crypt": "$6$rounds=1000$vedHwvohnp13mgvo$XhrQ0uGsopdNLMqoGOJ1tZPQd92gkFhdrmLY2f39s9BXaPs/"
    "CBrtIk9JEGe72AV3K3CTfhvTvJZHsZOtt/VQ./",
    "sha256_crypt": "$5$rounds=1000$8NFvq6gXr7AMeA5D$lE2oRrBeL93e/6.q9lDHiGVAGqUkM7VpYcJe5GB4fU4",
    "pbkdf2_sha512": "$pbkdf2-sha512$1$fq/VmpOyltK6N.b83/s/Jw$bKPUlOj9MQ3dxPX4m8dMUl53BYeghehLcLmhjpYJpbc2"
    "QGwvmu9anRn0uw9fZuFuhqVhqdn6rvtFcaeHPwINXA",
    "pbkdf2_sha256": "$pbkdf2-sha256$1$xti715qzVurd.x.DkNIagw$Nf.U0a0LnFRjsQDWQk1tOdpFmLihRDWJjVknykmeFQE",
    "pbkdf2_sha1": "$pbkdf2$1$aG0NIeRcS.md0/qfUypFCA$z8DaNKVR0v.HZLHU6/.ePOQo/Ro",
    "md5_crypt": "$1$PIRlssfd$zS7p1hWumuuCy.g4RZTXc1",
    "apr_md5_crypt": "$apr1$AjqVQctj$8yDA7W4ItzFH9u7gADro2.",
    "ldap_salted_sha512": "{SSHA512}RvpAg5QReeoXi0XkRP8JYLGcOXqJf1+1wF2F4CLv"
    "VCmJ808zDh45QDmNR3dGNz+z1mHsCwRaPvvRrE6jnYPCq3GOMWYspVRK",
    "ldap_salted_sha256": "{SSHA256}gpjRNO/0AwuKYtWk2Oxinzy7DnNNmyoqfiJhQXlMZ1By7p0TgnDOmQ==",
    "ldap_salted_sha1": "{SSHA}kiy3Vui8otfvENoHUFsiveZkWdSHMIYQ",
    "ldap_salted_md5": "{SMD5}dXr3uxgEEXsR+S9lJRURS3KutdY=",
    "ldap_sha1": "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
    "ldap_md5": "{MD5}X03MO1qnZdYdgyfeuILPmQ==",
    "des_crypt": "bWi.EijoZI6Yo",
}


@pytest.mark.parametrize("scheme", FOREIGN)
def test_a_hash_from_elsewhere_is_verified_and_due_for_an_update(scheme: str) -> None:
    kept = ELSEWHERE[scheme]
    check_foreign(kept)
    assert verify("password", kept)
    assert not verify("Password", kept)
    assert needs_update(kept)


def test_bcrypt_looks_at_seventy_two_octets() -> None:
    kept = "$2b$04$jMH825hZ4VSZmu3VuJyD2OvNNKT4GQOIWHADnmAw3nYJUakKcR5SC"
    long = "x" * 72
    assert verify(long, kept)
    assert verify(long + "y", kept)
    assert not verify(long[:-1], kept)


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ("password", "no hash of a kind"),
        ("", "no hash of a kind"),
        ("$7$1$x", "no hash of a kind"),
        ("{CRAM-MD5}" + "0" * 64, "no hash of a kind"),
        ("$2b$15$aSyDjVVhdhNZ2qhl6INPRue2u2j2aIad2mNEJIHiKQbofSLJQ8E9q", "costs too much"),
        ("$6$rounds=999999999$vedHwvohnp13mgvo$" + "x" * 86, "costs too much"),
        ("$pbkdf2-sha256$9999999$xti715qzVurd.x.DkNIagw$Nf.U0a0LnFRjsQDWQk1tOdpFmLihRDWJjVknykmeFQE", "costs too much"),
        ("$argon2id$v=19$m=9999999,t=2,p=1$c2FsdHNhbHQ$" + "x" * 43, "costs too much"),
        ("$6$rounds=1000$vedHwvohnp13mgvo$x", "damaged|no hash|half"),
        ("$6$rounds=1000$vedHwvohnp13mgvo", "half"),
        ("$1$PIRlssfd$", "damaged|half"),
    ],
)
def test_a_hash_that_can_not_be_taken_is_told_why_without_being_repeated(kept: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        check_foreign(kept)
    assert not kept or kept not in str(caught.value)


@settings(max_examples=200)
@given(st.text(max_size=60) | st.sampled_from(list(ELSEWHERE.values())).map(lambda kept: kept[:-2]))
def test_any_text_is_taken_or_told_why(kept: str) -> None:
    try:
        check_foreign(kept)
    except ValueError:
        pass
    else:
        verify("guess", kept)
