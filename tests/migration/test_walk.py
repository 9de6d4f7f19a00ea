"""Documents are followed to the letter, and nothing in them is missed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.host import CLIENT, Host
from tests.support.recipe import Command, Text, is_as_shown, read_recipe
from tests.support.walk import StepError, Walk

DOCUMENT = """\
# A title

## Steps

Go there:

    # cd /etc    # where it all is
    # printf 'a\\tb\\nc\\n' | tee \\
        walked
    a   b
    ...
    # cat walked nowhere
    a b
    c
    cat: nowhere: ...
    [exit status 1]

and write `/etc/walked.conf`:

```toml
key = 1
```

    cat <<END > here
    $HOME  # is kept
    END
    pwd > folder

From elsewhere:

    $ bash -c 'echo > /dev/tcp/mail.example.com/9'
    ...Connection refused...
    ...
    [exit status 1]

## Afterwards

```
only to be read
```

Append to `/etc/walked.conf`:

```toml
other = 2
```
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        (tmp_path / "document.md").write_text(text)
        return tmp_path / "document.md"

    return write


def test_steps_are_read_as_they_are_written(write: Write) -> None:
    steps = read_recipe(write(DOCUMENT))
    assert [step.line for step in steps] == [7, 8, 12, 20, 24, 27, 31, 44]
    commands = [step for step in steps if isinstance(step, Command)]
    assert [(command.text, command.prompt, command.status) for command in commands] == [
        ("cd /etc", "#", 0),
        ("printf 'a\\tb\\nc\\n' | tee \\\n    walked", "#", 0),
        ("cat walked nowhere", "#", 1),
        ("cat <<END > here\n$HOME  # is kept\nEND", "", 0),
        ("pwd > folder", "", 0),
        ("bash -c 'echo > /dev/tcp/mail.example.com/9'", "$", 1),
    ]
    assert steps[-1] == Text(44, ("A title", "Afterwards"), "/etc/walked.conf", "other = 2\n", is_appended=True)


@pytest.mark.parametrize(
    ("shown", "printed", "is_so"),
    [
        ("a b", "a\t b\n", True),
        ("a b", "a b\nc\n", False),
        ("a b\n...", "a b\nc\nd\n", True),
        ("...", "", True),
        ("a ... c", "a b b c\n", True),
        ("a ... c", "a b\nb c\n", False),
        ("a.b", "axb\n", False),
        ("a 2026-11-21 14:31:14+00:00 b", "a\t2027-01-02 03:04:05+02:00\tb\n", True),
        ("a 2026-11-21 14:31:14+00:00 b", "a\t-\tb\n", False),
    ],
)
def test_what_is_shown_stands_for_what_is_printed(shown: str, printed: str, *, is_so: bool) -> None:
    assert is_as_shown(shown, printed) is is_so


def test_every_step_is_done(there: Host, write: Write) -> None:
    with Walk(there, write(DOCUMENT)) as walk:
        walk.section("Steps")
        assert there.path("/etc/walked.conf").read_text() == "key = 1\n"
        walk.section("Afterwards")
    assert there.path("/etc/walked.conf").read_text() == "key = 1\nother = 2\n"
    assert there.path("/etc/here").read_text() == "/root  # is kept\n"
    assert there.path("/etc/folder").read_text() == "/etc\n"
    assert not Path("/etc/walked.conf").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("a   b\n", "a   x\n"), "should print:\na   x\n"),
        (("[exit status 1]\n\nand", "[exit status 2]\n\nand"), "ended with 1"),
        (("/etc/walked.conf`:\n\n```toml\nkey", "/nowhere/walked.conf`:\n\n```toml\nkey"), "there is no such folder"),
        (("## Afterwards\n", "## Afterwards\n\n    id\n"), "nobody has done:\n"),
    ],
)
def test_a_document_that_is_not_true_fails(change: tuple[str, str], reason: str, there: Host, write: Write) -> None:
    document = write(DOCUMENT.replace(*change))
    assert document.read_text() != DOCUMENT
    with pytest.raises(StepError, match=reason), Walk(there, document) as walk:
        walk.section("Steps")


def test_what_a_test_says_of_a_command_that_is_not_there_fails(there: Host, write: Write) -> None:
    with pytest.raises(StepError, match="no such commands"):
        Walk(there, write(DOCUMENT), omitted={"podman run": "there is no podman"})


def test_answers_are_typed_and_what_is_omitted_is_not_missed(there: Host, write: Write) -> None:
    document = write("## Steps\n\n    # read name; echo $name\n    alice\n    # false\n")
    with Walk(there, document, answers={"read name; echo $name": "alice\n"}, omitted={"false": "fails"}) as walk:
        walk.section("Steps")


def test_a_command_that_looks_is_repeated_until_there_is_something_to_see(there: Host, write: Write) -> None:
    document = write(
        "## Steps\n\n    # (sleep 0.5; echo done > /etc/late) > /dev/null 2>&1 &\n    # grep done /etc/late\n    done\n"
    )
    with Walk(there, document) as walk:
        walk.section("Steps")


def test_what_is_awaited_is_typed_again(there: Host, write: Write) -> None:
    script = "[ -e /etc/typed ] || { touch /etc/typed; false; }"
    document = write(f"## Steps\n\n    {script}\n")
    with pytest.raises(StepError, match="ended with 1"), Walk(there, document) as walk:
        walk.section("Steps")
    there.do("rm /etc/typed")
    with Walk(there, document, awaited=[script]) as walk:
        walk.section("Steps")


def test_a_program_in_the_foreground_lasts(there: Host, write: Write) -> None:
    script = "sh -c 'trap \"echo > /etc/ended; exit\" TERM; echo ready; while :; do sleep 0.05; done'"
    with Walk(there, write(f"## Steps\n\n    {script}\n    ls /\n"), lasting={script: "ready"}) as walk:
        walk.section("Steps")
        assert not there.path("/etc/ended").exists()
    assert there.path("/etc/ended").exists()


def test_the_client_is_another_machine(there: Host) -> None:
    result = there.run("ip -4 -oneline address; hostname", from_client=True)
    assert CLIENT in result.output
    assert "mail.example.com" in result.output


UNIT = """\
[Service]
Type=notify
ExecStart=/usr/bin/python3 /etc/a-service.py
User=nobody
UMask=0077
RuntimeDirectory=a-service
"""

SERVICE = """\
import os, signal, socket
print("user", os.getuid(), flush=True)
open("/run/a-service/file", "w").close()
supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
supervisor.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\\0"))
signal.pause()
"""


def test_a_unit_is_started_as_it_says(there: Host) -> None:
    there.path("/etc/systemd/system/a-service.service").write_text(UNIT)
    there.path("/etc/a-service.py").write_text(SERVICE)
    there.do("systemctl daemon-reload; systemctl enable --now a-service")
    assert there.run("systemctl is-active a-service.service").output == "active\n"
    assert there.run("stat -c '%U %a' /run/a-service/file").output == "nobody 600\n"
    assert there.run("journalctl -u a-service").output == "user 65534\n"
    there.do("systemctl stop a-service")
    assert there.run("systemctl is-active a-service").status == 3
    assert there.run("systemctl start nothing").status == 5
