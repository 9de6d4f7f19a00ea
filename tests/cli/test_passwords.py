import subprocess
import sys

import pytest

from submission.credentials.hashing import MAX_PASSWORD, prepare
from tests.support.terminal import Terminal

READ = "from submission.cli.passwords import *; print(is_terminal(), ascii(read_password()))"
ASK = "from submission.cli.passwords import *; print(is_terminal(), ascii(ask_password('Word')))"


def read(piped: bytes, command: str = 'exec "$@"') -> str:
    words = ["sh", "-c", command, "sh", sys.executable, "-c", READ]
    result = subprocess.run(words, input=piped, capture_output=True, timeout=30, check=True)
    return result.stdout.decode().rstrip("\n")


@pytest.mark.parametrize(
    ("piped", "password"),
    [
        (b"", ""),
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret\n\n", "secret\n"),
        (b"two\nlines", "two\nlines"),
        ("s\u00e9cret\n".encode(), "s\u00e9cret"),
        (b"x" * MAX_PASSWORD + b"\r\n", "x" * MAX_PASSWORD),
    ],
)
def test_reads_all_but_one_line_end(piped: bytes, password: str) -> None:
    assert read(piped) == f"False {password!a}"


def test_no_standard_input_is_no_password() -> None:
    assert read(b"", 'exec "$@" <&-') == "False ''"


@pytest.mark.parametrize("piped", [b"secret\xff", b"x" * 10_000_000, b"x" * MAX_PASSWORD + b"xx\n"])
def test_what_can_t_be_a_password_doesn_t_become_one(piped: bytes) -> None:
    answer = read(piped)
    assert len(answer) < 2 * MAX_PASSWORD
    with pytest.raises(ValueError, match=r"RFC 4013|longer"):
        prepare(answer.removeprefix("False '").removesuffix("'").encode().decode("unicode_escape"))


@pytest.mark.parametrize("typed", ["secret", ""])
def test_a_person_is_asked_and_types_unseen(typed: str) -> None:
    with Terminal(sys.executable, "-c", ASK) as terminal:
        terminal.answer("Word: ", typed)
        assert terminal.finish() == 0
    assert terminal.screen == f"Word: \r\nTrue '{typed}'\r\n"
