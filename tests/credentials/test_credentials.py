"""Which store a URL or a path means, and what is opened for the service."""

from contextlib import closing
from pathlib import Path

import pytest

from submission.credentials import find_store, open_store
from submission.credentials.database import DatabaseStore
from submission.credentials.sasldb2 import Sasldb2Store


def test_a_url_says_which_store(tmp_path: Path) -> None:
    for url, kind in ((f"sqlite:{tmp_path}/users.db", DatabaseStore), (f"sasldb2:{tmp_path}/a:b", Sasldb2Store)):
        with closing(open_store(url)) as store:
            assert isinstance(store, kind)


@pytest.mark.parametrize(
    ("content", "scheme"),
    [
        (None, "sqlite"),
        (b"", "sqlite"),
        (b"garbage", "sqlite"),
        (b"SQLite format 3\0", "sqlite"),
        (b"\0" * 12 + b"\x61\x15\x06\0", "sasldb2"),
        (b"\xcf\x9a\x57\x13", "sasldb2"),
    ],
)
def test_a_path_means_the_store_that_is_there(tmp_path: Path, content: bytes | None, scheme: str) -> None:
    path = tmp_path / "a:b"
    if content is not None:
        path.write_bytes(content)
    assert find_store(str(path)) == f"{scheme}:{path}"
    for named in ("sqlite", "sasldb2"):
        assert find_store(f"{named}:{path}") == f"{named}:{path}"


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_store("users.db") == f"sqlite:{tmp_path}/users.db"
    assert find_store("sasldb2:users.db") == f"sasldb2:{tmp_path}/users.db"
