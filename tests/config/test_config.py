"""Loading a file: what it gives, and how faults are told. The kinds of values are in test_values.py."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from submission.config import MAX_FILE, ConfigError, Settings, default_path, load

LISTEN = '[[listen]]\naddress = "127.0.0.1:587"\ntls = "none"\n'


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "submission.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def faults(folder: Path, text: str | bytes) -> list[str]:
    """What is said of a file with this text, without the file's name."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == "\n".join(caught.value.faults)
    assert all(line.startswith(f"{path}:") and line.isprintable() for line in caught.value.faults)
    return [line.removeprefix(f"{path}:") for line in caught.value.faults]


def test_a_file_gives_settings(tmp_path: Path) -> None:
    settings = load(write(tmp_path, LISTEN))
    assert isinstance(settings, Settings)
    assert [str(listener.address) for listener in settings.listen] == ["127.0.0.1:587"]


def test_the_default_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUBMISSION_CONFIG", raising=False)
    assert default_path() == Path("/etc/submission/submission.toml")
    monkeypatch.setenv("SUBMISSION_CONFIG", "/elsewhere.toml")
    assert default_path() == Path("/elsewhere.toml")


def test_relative_paths_start_at_the_file_not_at_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    write(tmp_path / "etc", 'state_dir = "state"\n' + LISTEN)
    monkeypatch.chdir(tmp_path)
    settings = load(Path("etc/submission.toml"))
    assert settings.state_dir == tmp_path / "etc/state"
    assert settings.store.key_file == tmp_path / "etc/state/store.key"


def test_every_fault_at_once(tmp_path: Path) -> None:
    text = """
        hostnam = "mail.example.com"
        workers = true
        user = "root"
        [[listen]]
        address = "127.0.0.1:587"
        tls = "start"
        [[listen]]
        tls = "none"
        adress = "127.0.0.1:588"
        [tls]
        [auth]
        mechanisms = ["PLAIN", "FOO", 3]
        require_tls = "true"
        [limits]
        recipients = 0
        message_size = "40MB"
        user.messages_per_hour = -1
        [log]
        format = "syslog"
        [nonsense]
    """
    assert faults(tmp_path, text) == [
        "workers: true must be a whole number",
        'user: "root" must be the name of a system user other than root',
        'listen[0].tls: "start" must be "starttls", "implicit" or "none"',
        "listen[1].address: is missing, and has no default",
        'listen[1].adress: is unknown, did you mean "address"?',
        'auth.mechanisms[1]: "FOO" is not available in this version, allowed: "SCRAM-SHA-256-PLUS", '
        '"SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", '
        '"EXTERNAL", "OAUTHBEARER", "XOAUTH2"',
        "auth.mechanisms[2]: 3 must be a text in double quotes",
        'auth.require_tls: "true" must be true or false',
        'limits.message_size: "40MB" must be a number of bytes or a text such as "512KiB", "40MiB", "1GiB"',
        "limits.recipients: 0 must be greater than or equal to 1",
        "limits.user.messages_per_hour: -1 must be greater than or equal to 0",
        'log.format: "syslog" must be "logfmt" or "json"',
        'hostnam: is unknown, did you mean "hostname"?',
        "nonsense: is unknown, allowed: hostname, state_dir, workers, user, tls, listen, auth, store, relay, limits, "
        "policy, pop_before_smtp, log, metrics",
    ]


def test_checks_of_several_keys_are_told_along_with_the_rest(tmp_path: Path) -> None:
    told = faults(tmp_path, LISTEN + LISTEN.replace("none", "starttls") + "[limits]\nrecipient = 1\n")
    assert told == [
        'listen[0].address: "127.0.0.1:587" is there more than once',
        'listen[1].address: "127.0.0.1:587" is there more than once',
        "tls.certificate: is missing, must be the path of a PEM file where listeners speak TLS",
        "tls.key: is missing, must be the path of a PEM file where listeners speak TLS",
        'limits.recipient: is unknown, did you mean "recipients"?',
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "listen: [] must hold one item at least"),
        ("listen = []", "listen: [] must hold one item at least"),
        ("listen = 3", "listen: 3 must be an array"),
        ("listen = [3]", "listen[0]: 3 must be a table"),
        ('[listen]\naddress = "127.0.0.1:587"', "listen: {…} must be an array"),
        (LISTEN + "[[auth]]", "auth: [{…}] must be a table"),
        ("hostname = 2026-11-21\n" + LISTEN, 'hostname: "2026-11-21" must be a text in double quotes'),
        ("workers = 1.0\n" + LISTEN, "workers: 1.0 must be a whole number"),
        (f'user = "{"u" * 200}"\n' + LISTEN, f'user: "{"u" * 79}… must be the name of a system user other than root'),
    ],
)
def test_types_are_told_in_the_words_of_toml(tmp_path: Path, text: str, told: str) -> None:
    assert faults(tmp_path, text) == [told]


def test_a_fault_stays_on_one_line_whatever_the_key_holds(tmp_path: Path) -> None:
    [told] = faults(tmp_path, '"a\\nb\\u202e" = 1\n' + LISTEN)
    assert told.startswith('"a\\nb\\U0000202e": is unknown, allowed: hostname, ')
    [told] = faults(tmp_path, LISTEN + '[auth]\nrealm = "a\\u0000\\u009b"\n')
    assert told.startswith('auth.realm: "a\\u0000\\U0000009b" ')


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"a = 1\nb = = 2\n", "2: Invalid value, not valid TOML"),
        (b'a = 1\n\nb = "', "3: Unterminated string, not valid TOML"),
        (b"a = 1\nb", "2: Expected '=' after a key in a key/value pair, not valid TOML"),
        (b"a = 1\na = 2\n", "2: Cannot overwrite a value, not valid TOML"),
        (b'a = 1\nb = "\xff"\n', "2: is not UTF-8, which TOML must be"),
    ],
)
def test_syntax_faults_have_their_line(tmp_path: Path, text: bytes, told: str) -> None:
    assert faults(tmp_path, text) == [told]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
def test_no_file_raises_anything_else(tmp_path: Path, data: bytes) -> None:
    assert faults(tmp_path, data)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, told in ((tmp_path / "missing", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert str(caught.value) == f"{path}: {told}"


def test_a_file_without_end_is_not_read_to_it() -> None:
    with pytest.raises(ConfigError) as caught:
        load(Path("/dev/zero"))
    assert str(caught.value) == f"/dev/zero: is larger than {MAX_FILE} bytes"
