"""sasldb2 between Cyrus SASL, libdb and us: each reads what the others wrote, and none loses a change."""

from __future__ import annotations

import base64
import hmac
import os
import subprocess
import sys
from pathlib import Path

import pytest

from submission.core.addresses import Login
from submission.core.databases import DatabaseError, berkeley_db, formats
from submission.credentials.sasldb2 import Sasldb2Store
from submission.credentials.store import Record, StoreUnavailableError
from tests.support.programs import require

ALICE = Login("alice", "example.com")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sasldb2"


def run(*command: str, given: str = "") -> str:
    """Run a program that is to be content; what it says."""
    require(command[0])
    result = subprocess.run(command, input=given, capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
    return result.stdout


def saslpasswd2(path: Path, *arguments: str, password: str = "") -> None:
    run("saslpasswd2", "-p", "-f", str(path), *arguments, given=password)


def listed(path: Path) -> set[str]:
    """What sasldblistusers2 makes of a file, a line for each entry."""
    return set(run("sasldblistusers2", "-f", str(path)).splitlines())


def keep(store: Sasldb2Store, login: Login, password: str) -> None:
    store.change(login, lambda _: Record(login, clear=password))


def accounts(count: int) -> dict[bytes, bytes]:
    return {f"user{number}\0example.com\0userPassword".encode(): b"pw %d" % number for number in range(count)}


@pytest.mark.parametrize("count", [0, 1, 300, 5000])
def test_libdb_and_cyrus_sasl_read_what_we_write(path: Path, count: int) -> None:
    path.write_bytes(berkeley_db.write(accounts(count)))
    run("db5.3_verify", "-q", str(path))
    if count:
        assert listed(path) == {f"user{number}@example.com: userPassword" for number in range(count)}


def test_libdb_reads_what_lies_on_overflow_pages(path: Path) -> None:
    for size in (1023, 1024, 1025, 4000, 4070, 4071, 20_000):
        big = {b"key %d" % number * 50 + b"k" * size: b"v" * size for number in range(9)}
        path.write_bytes(berkeley_db.write(big | accounts(20)))
        run("db5.3_verify", "-q", str(path))
        dump = run("db5.3_dump", str(path))
        assert set(dump.split()) > {octets.hex() for entry in big.items() for octets in entry}


@pytest.mark.parametrize(
    "options",
    [
        "",
        "db_lorder=4321",
        "db_lorder=1234 db_pagesize=512",
        "db_lorder=4321 db_pagesize=65536 chksum=1",
        "db_pagesize=1024 chksum=1 h_nelem=5000",
        "h_ffactor=1",
    ],
)
def test_what_libdb_writes_is_read(path: Path, options: str) -> None:
    entries = accounts(300) | {b"big\0example.com\0userPassword": b"x" * 9000}
    lines = ["VERSION=3", "format=bytevalue", "type=hash", *options.split(), "HEADER=END"]
    lines += [f" {octets.hex()}" for entry in entries.items() for octets in entry]
    run("db5.3_load", str(path), given="\n".join([*lines, "DATA=END", ""]))
    database = berkeley_db.read(path.read_bytes())
    assert database.entries == entries
    assert database.is_complete or "h_nelem" in options  # libdb counts on from what it was told to expect


def test_what_gdbm_writes_is_read_and_not_changed(path: Path) -> None:
    entries = accounts(2000)
    lines = ["#:version=1.1", "#:format=standard", "# End of header"]
    for entry in entries.items():
        for octets in entry:
            lines += [f"#:len={len(octets)}", base64.b64encode(octets).decode()]
    run("gdbm_load", "-", str(path), given="\n".join([*lines, f"#:count={len(entries)}", "# End of data", ""]))
    path.chmod(0o600)
    before = path.read_bytes()
    store = Sasldb2Store(path)
    assert len(list(store.records())) == 2000
    assert store.read(Login("user1999", "example.com")) == Record(Login("user1999", "example.com"), clear="pw 1999")
    with pytest.raises(StoreUnavailableError, match="is in the format GDBM, which is only read here: use saslpasswd2"):
        keep(store, ALICE, "secret")
    assert path.read_bytes() == before


def test_a_btree_is_converted_as_the_error_says(path: Path) -> None:
    run("db5.3_load", "-T", "-t", "btree", str(path), given="alice\nsecret\n")
    with pytest.raises(DatabaseError, match=r"db_dump FILE \| db_load -t hash NEW converts it"):
        formats.read(path.read_bytes())
    new = path.with_name("new")
    run("db5.3_load", "-t", "hash", str(new), given=run("db5.3_dump", str(path)))
    assert formats.read(new.read_bytes()).entries == {b"alice": b"secret"}


def test_the_store_on_a_file_of_saslpasswd2_s(path: Path) -> None:
    for user in ("alice", "bob"):
        saslpasswd2(path, "-c", "-u", "example.com", user, password=f"{user}'s secret")
    store = Sasldb2Store(path)
    assert list(store.records()) == [
        Record(Login(user, "example.com"), clear=f"{user}'s secret") for user in ("alice", "bob")
    ]
    mode = path.stat().st_mode
    keep(store, ALICE, "another")
    assert path.stat().st_mode == mode
    saslpasswd2(path, "-d", "-u", "example.com", "bob")
    assert list(store.records()) == [Record(ALICE, clear="another")]
    assert listed(path) == {"alice@example.com: userPassword"}


def test_saslpasswd2_on_a_file_of_ours(path: Path) -> None:
    """So many that it has to split the buckets that we laid out, and to make new pages."""
    path.write_bytes(berkeley_db.write(accounts(90)))
    path.chmod(0o600)
    script = f"for i in $(seq 200); do printf new | saslpasswd2 -p -c -f {path} -u example.com new$i || exit; done"
    run("sh", "-c", script)
    saslpasswd2(path, "-d", "-u", "example.com", "user7")
    run("db5.3_verify", "-q", str(path))
    expected = accounts(90) | {f"new{number}\0example.com\0userPassword".encode(): b"new" for number in range(1, 201)}
    del expected[b"user7\0example.com\0userPassword"]
    database = berkeley_db.read(path.read_bytes())
    assert database.entries == expected
    assert database.is_complete


@pytest.mark.parametrize("arguments", [["alice"], ["-d", "alice"]], ids=["set", "deleted"])
def test_the_same_entries_go_as_with_saslpasswd2(path: Path, arguments: list[str]) -> None:
    names = ("userPassword", "cmusaslsecretCRAM-MD5", "cmusaslsecretDIGEST-MD5", "cmusaslsecretPLAIN")
    names += ("cmusaslsecretOTP", "another")
    before = {f"{user}\0example.com\0{name}".encode(): b"old" for name in names for user in ("alice", "bob")}
    results = []
    for command in (["saslpasswd2"], [sys.executable, "-c", "from submission.cli.passwd import main; main()"]):
        path.write_bytes(berkeley_db.write(before))
        path.chmod(0o600)
        run(*command, "-p", "-f", str(path), "-u", "example.com", *arguments, given="" if "-d" in arguments else "new")
        results.append(berkeley_db.read(path.read_bytes()).entries)
    assert results[0] == results[1]


CHANGES = 100


@pytest.mark.skipif(sys.platform != "linux", reason="there are no leases, which tell that another has it open")
def test_saslpasswd2_and_we_lose_no_change_of_each_other_s(path: Path) -> None:
    saslpasswd2(path, "-c", "-u", "example.com", "first", password="x")
    script = (
        f"for i in $(seq {CHANGES}); do printf x | saslpasswd2 -p -c -f {path} -u example.com theirs$i || exit; done"
    )
    store, number = Sasldb2Store(path), 0
    with subprocess.Popen(["sh", "-c", script]) as process:
        while process.poll() is None:
            number += 1
            keep(store, Login(f"ours{number}", "example.com"), "x")
        assert process.returncode == 0
    run("db5.3_verify", "-q", str(path))
    users = {record.login.user for record in store.records()}
    assert users == {
        "first",
        *(f"theirs{n}" for n in range(1, CHANGES + 1)),
        *(f"ours{n}" for n in range(1, number + 1)),
    }


def test_a_reader_always_finds_who_was_there_before_saslpasswd2_wrote(path: Path) -> None:
    path.write_bytes(berkeley_db.write(accounts(200)))
    path.chmod(0o600)
    require("saslpasswd2")
    script = (
        f"for i in $(seq {CHANGES}); do printf x | saslpasswd2 -p -c -f {path} -u example.com theirs$i || exit; done"
    )
    store, login = Sasldb2Store(path), Login("user150", "example.com")
    with subprocess.Popen(["sh", "-c", script]) as process:
        while process.poll() is None:
            assert store.read(login) == Record(login, clear="pw 150")
    assert process.returncode == 0


@pytest.mark.parametrize("mechanism", ["PLAIN", "CRAM-MD5"])
@pytest.mark.parametrize(("password", "is_right"), [("geheim", True), ("Geheim", False)])
def test_cyrus_sasl_s_own_server_takes_a_password_of_ours(
    path: Path, mechanism: str, password: str, is_right: bool
) -> None:
    keep(Sasldb2Store(path), ALICE, "geheim")
    path.with_name("sample.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {path}\nmech_list: PLAIN CRAM-MD5\n"
    )
    require("sasl-sample-server")
    command = ["stdbuf", "-oL", "sasl-sample-server", "-m", mechanism, "-s", "smtp", "-d", "example.com"]
    environment = os.environ | {"SASL_CONF_PATH": str(path.parent)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def send(octets: bytes) -> None:
            print("C:", base64.b64encode(octets).decode(), file=server.stdin, flush=True)

        if mechanism == "PLAIN":
            send(b"PLAIN\0\0alice@example.com\0" + password.encode())
        else:
            send(b"CRAM-MD5")
            challenges = (line[3:] for line in server.stdout if line.startswith("S: ") and line != "S: Q1JBTS1NRDU=\n")
            challenge = base64.b64decode(next(challenges))
            send(b"alice@example.com " + hmac.new(password.encode(), challenge, "md5").hexdigest().encode())
        server.stdin.close()
        said = server.stdout.read()
    assert ("Negotiation complete" in said) == is_right
    assert ("authentication failure" in said) == (not is_right)
