"""Cyrus SASL's file with several of our processes at it, and with one of them killed."""

from pathlib import Path

import pytest

from submission.core.addresses import Login
from submission.core.databases import berkeley_db
from submission.credentials.sasldb2 import Sasldb2Store
from submission.credentials.store import Record
from tests.support.processes import next_line, ready, release, run_together

ALICE = Login("alice", "example.com")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sasldb2"


WRITER = """
import sys
from pathlib import Path
from submission.core.addresses import Login
from submission.credentials.accounts import set_password
from submission.credentials.sasldb2 import Sasldb2Store

print("ready", flush=True)
input()
store = Sasldb2Store(Path(sys.argv[1]))
for number in range(100):
    login = Login(f"user-{sys.argv[2]}-{number}", "example.com")
    set_password(store, None, login, "secret", may_create=True, keep_secret=True)
"""


def test_eight_parallel_writers_of_a_hundred_accounts_in_a_new_file_make_eight_hundred(path: Path) -> None:
    run_together(WRITER, [[str(path), letter] for letter in "abcdefgh"])
    logins = {str(record.login) for record in Sasldb2Store(path).records()}
    assert logins == {f"user-{letter}-{number}@example.com" for letter in "abcdefgh" for number in range(100)}
    assert {file.name for file in path.parent.iterdir()} == {"sasldb2", "sasldb2.lock"}


RESTLESS = """
import itertools, sys
from pathlib import Path
from submission.core.addresses import Login
from submission.credentials.sasldb2 import Sasldb2Store
from submission.credentials.store import Record
store, login = Sasldb2Store(Path(sys.argv[1])), Login("alice", "example.com")
print("ready", flush=True)
input()
for number in itertools.count():
    store.change(login, lambda _: Record(login, clear=str(number)))
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_the_old_table_or_the_new_one(path: Path) -> None:
    others = {f"user{number}\0example.com\0userPassword".encode(): b"x" * 100 for number in range(500)}
    path.touch(0o600)
    path.write_bytes(berkeley_db.write(others))
    for round_number in range(12):
        with ready(RESTLESS, str(path)) as writer:
            release(writer)
            for number in range(round_number + 1):
                assert next_line(writer) == str(number)
            writer.kill()
            told = [int(line) for line in writer.stdout or () if line.endswith("\n")]
            writer.wait()
        last = told[-1] if told else round_number
        database = berkeley_db.read(path.read_bytes())
        assert database.is_complete
        entries = database.entries
        assert entries.pop(b"alice\0example.com\0userPassword") in (b"%d" % last, b"%d" % (last + 1))
        assert entries == others
    store = Sasldb2Store(path)
    store.change(ALICE, lambda _: Record(ALICE, clear="after"))
    assert {file.name for file in path.parent.iterdir()} == {"sasldb2", "sasldb2.lock"}
