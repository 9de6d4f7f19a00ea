"""GDBM's files octet by octet; tests/peers/test_sasldb2.py has some of GDBM's own making."""

import base64
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from submission.core.databases import Database, DatabaseError
from submission.core.databases.gdbm import MAGICS, read

SAMPLE = zlib.decompress(
    base64.b85decode(
        "c-rlly-LGS9L2Bb5JmhzMI8i3age0nbr4Zpba4};6a-ydl!V%M@DaMXIQRtOng=Mjx{LS-BGjBFledF|32pQH!R2sH"
        "AeWQ;Z-#U`XG><mnEo=cPAB>(-H+pM0{{R300000Bg-a=q9}@@D2k#eilXDL6N&wpi*?OQ?^nZYw0aSPu8nK%gfHz@"
        "aOFR{v0skX<XHDT-&WuIob)CC@A=t1(EON`=En)Io4S8DH|KF?QGFkN^*woOZYb|1`AW2=n8QCj&*M8ix1)^br?vOG"
        "u6^G#eqT=bxutzq`JR&x<$3&SXg(Xc`JQ*?)pv*UNIsPF`E;oH44BW6$n~yV<M;LSA_&?y{^f1kmG!LHlPy?rLAGec"
        "McI-Smt@OUT$Zg^aYeRj#Z}pw71w0zR$TAbv1@v9&jCeK{0jmA000000FXUDN0CG0"
    )
)
"""GDBM 1.23's, on a little-endian machine: 12 users, in one bucket at 8192 that the whole directory at 4096 names."""

USERS = {f"user{number}\0r\0userPassword".encode(): f"pw{number}".encode() for number in range(12)}
BUCKET = 8192
PLACE = next(
    place for place in range(BUCKET + 112, BUCKET + 4096, 24) if SAMPLE[place : place + 4] != b"\xff\xff\xff\xff"
)


def changed(data: bytes, offset: int, octets: bytes) -> bytes:
    return data[:offset] + octets + data[offset + len(octets) :]


def i32(value: int) -> bytes:
    return struct.pack("<i", value)


def i64(value: int) -> bytes:
    return struct.pack("<q", value)


def test_a_file_of_gdbm_s() -> None:
    assert read(SAMPLE) == Database(USERS, is_complete=True)


def test_the_other_byte_order() -> None:
    """All that is read of the file, turned around."""
    turned = bytearray(SAMPLE)

    def turn(form: str, offset: int) -> None:
        struct.pack_into(f">{form}", turned, offset, *struct.unpack_from(f"<{form}", SAMPLE, offset))

    turn("2iq4i", 0)
    turn("512q", 4096)
    turn("2i", BUCKET + 104)
    for place in range(BUCKET + 112, BUCKET + 112 + 166 * 24, 24):
        turn("i", place)
        turn("q2i", place + 8)
    assert read(bytes(turned)) == Database(USERS, is_complete=True)


def test_a_count_that_is_not_that_of_the_entries_is_told() -> None:
    assert not read(changed(SAMPLE, BUCKET + 108, i32(13))).is_complete


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "octet 0: there are no 32 octets"),
        (SAMPLE[:31], "octet 0: there are no 32 octets"),
        (SAMPLE[:5000], "octet 4096: there are no 4096 octets"),
        (SAMPLE[:8300], "octet 8300: there are no 4 octets"),
        (SAMPLE[:9000], "octet 8304: there are no 3984 octets"),
        (changed(SAMPLE, 8, i64(-1)), "octet -1: there are no"),
        (changed(SAMPLE, 8, i64(1 << 62)), f"octet {1 << 62}: there are no"),
        (changed(SAMPLE, 16, i32(0)), "octet 0: the sizes in the header"),
        (changed(SAMPLE, 16, i32(-8)), "octet 0: the sizes in the header"),
        (changed(SAMPLE, 28, i32(167)), "octet 0: the sizes in the header"),
        (changed(SAMPLE, 28, i32(-1)), "octet 8304: there are no -24 octets"),
        (changed(SAMPLE, 4096, i64(1 << 40)), f"octet {(1 << 40) + 108}: there are no 4 octets"),
        (changed(SAMPLE, 4096, i64(BUCKET + 24)), "holds a key that was there before"),
        (changed(SAMPLE, PLACE + 8, i64(1 << 40)), f"octet {1 << 40}: there are no"),
        (changed(SAMPLE, PLACE + 16, i32(-1)), "there are no -1 octets"),
        (changed(SAMPLE, PLACE + 16, i32(0x7FFFFFFF)), "there are no 2147483647 octets"),
        (changed(SAMPLE, PLACE + 20, i32(-1)), "there are no -1 octets"),
    ],
)
def test_damage_is_told_with_its_place(data: bytes, complaint: str) -> None:
    with pytest.raises(DatabaseError, match=complaint) as told:
        read(data)
    assert str(told.value).startswith("octet ")


def survives(data: bytes) -> None:
    try:
        entries = read(data).entries
    except DatabaseError:
        return
    assert sum(map(len, entries)) + sum(map(len, entries.values())) <= len(data)


@given(st.binary(max_size=3000))
def test_any_octets_give_entries_or_the_one_error(data: bytes) -> None:
    survives(data)
    survives(i32(MAGICS[0]) + data)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(0, len(SAMPLE) - 1) | st.integers(0, 40), st.binary(min_size=1, max_size=8)), min_size=1
    )
)
def test_any_damage_to_a_good_file_gives_entries_or_the_one_error(changes: list[tuple[int, bytes]]) -> None:
    damaged = SAMPLE
    for position, octets in changes:
        damaged = changed(damaged, position, octets)
    survives(damaged)


def test_no_octets_are_given_again_and_again() -> None:
    """Each place names the same entry, which is most of the file."""
    places = 40_000
    size = 112 + 24 * places
    header = struct.pack("<2iq4i", MAGICS[0], 4096, 32, 8, 0, size, places)
    bucket = bytes(108) + i32(places)
    bucket += b"".join(struct.pack("<i4xq2i", 1, 0, number, size // 2) for number in range(places))
    with pytest.raises(DatabaseError):
        read(header + i64(40) + bucket)
