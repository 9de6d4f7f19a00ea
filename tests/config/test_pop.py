from pathlib import Path

import pytest

from tests.config.test_settings import FILES, LISTEN, faults, read


def pop_faults(folder: Path, text: str) -> list[str]:
    """The keys of what is wrong with [pop_before_smtp]."""
    return [line.partition(": ")[0] for line in faults(folder, f"{LISTEN}{FILES}[pop_before_smtp]\n{text}\n")]


@pytest.mark.parametrize("network", ["8.0.0.0/7", "0.0.0.0/0", "::/0", "2001::/15"])
def test_static_networks_that_strangers_are_in(tmp_path: Path, network: str) -> None:
    assert pop_faults(tmp_path, f'static = ["192.0.2.1", "{network}"]') == ["pop_before_smtp.static[1]"]


def test_static_hosts_may_be_names(tmp_path: Path) -> None:
    text = LISTEN + FILES + '[pop_before_smtp]\nstatic = ["Office.example.com", "10", "fd00::/16"]\n'
    assert list(map(str, read(tmp_path, text).pop_before_smtp.static)) == [
        "office.example.com",
        "10.0.0.0/8",
        "fd00::/16",
    ]
    assert pop_faults(tmp_path, 'static = ["no name", "1.2.3.4.5"]') == [
        "pop_before_smtp.static[0]",
        "pop_before_smtp.static[1]",
    ]


def test_logs(tmp_path: Path) -> None:
    right = ["/var/log/mail.log", "mail*.log", "journal", "syslog:/run/x", "syslog:127.0.0.1:5514", "syslog:[::1]:5514"]
    settings = read(tmp_path, f"{LISTEN}{FILES}[pop_before_smtp]\nlogs = {right!r}\n")
    assert settings.pop_before_smtp.logs == (right[0], str(tmp_path / "mail*.log"), *right[2:])
    wrong = ["", "syslog:x", "syslog:192.0.2.1:514", "syslog:0.0.0.0:514", "syslog:127.0.0.1", "syslog:unix:/x"]
    assert pop_faults(tmp_path, f"logs = {wrong!r}") == [f"pop_before_smtp.logs[{number}]" for number in range(6)]


PATTERN = """
[[pop_before_smtp.pattern]]
name = "popd"
regex = "popd: login of (?P<user>.+) from (?P<ip>.+)"
samples = ["Nov 21 02:59:00 mail popd[12]: login of joe from 192.0.2.50"]
"""


def test_a_pattern_of_ones_own(tmp_path: Path) -> None:
    [pattern] = read(tmp_path, LISTEN + FILES + PATTERN).pop_before_smtp.pattern
    assert pattern.name == "popd"
    assert pattern.samples == ("Nov 21 02:59:00 mail popd[12]: login of joe from 192.0.2.50",)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("(?P<ip>.+)", "(.+)", ["regex: must have (?P<ip>…)"]),
        ("of (?P<user>.+)", "(?P<user>.+", ["regex: is no regular expression of Python's: "]),
        ("login of joe", "logout of joe", ["samples[0]: holds no login by the regex"]),
        ("192.0.2.50", "127.0.0.1", ["samples[0]: holds no login by the regex"]),
        ('= "popd"', '= "dovecot"', ['name: "dovecot" is the name of another pattern or of a format']),
        ("samples = [", "samples = [] #", ["samples: [] must hold one item at least"]),
        ("name =", "nane =", ["name: is missing", "nane: is unknown"]),
    ],
)
def test_faulty_patterns(tmp_path: Path, old: str, new: str, told: list[str]) -> None:
    found = faults(tmp_path, LISTEN + FILES + PATTERN.replace(old, new))
    assert len(found) == len(told)
    for line, start in zip(found, told, strict=True):
        assert line.startswith(f"pop_before_smtp.pattern[0].{start}")


def test_two_patterns_of_one_name(tmp_path: Path) -> None:
    assert len(faults(tmp_path, LISTEN + FILES + PATTERN + PATTERN)) == 2


def test_formats_of_logs(tmp_path: Path) -> None:
    text = LISTEN + FILES + '[pop_before_smtp]\nformats = ["dovecot", "{}"]\n'
    assert read(tmp_path, text.format("courier")).pop_before_smtp.formats == ("dovecot", "courier")
    [told] = faults(tmp_path, text.format("exim"))
    assert told.startswith('pop_before_smtp.formats[1]: "exim" is no format, allowed: "dovecot", "courier", ')
