import datetime
import getpass
import os
import pwd
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from submission.cli.check import examine
from submission.cli.check.findings import Finding
from submission.cli.main import commands
from submission.config import load
from submission.core.databases import berkeley_db
from tests.support.server import public_folder

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
IS_ROOT = os.geteuid() == 0
USER = "nobody" if IS_ROOT else getpass.getuser()


def certificate(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, begin: datetime.datetime = NOW - DAY) -> bytes:
    """Good for 90 days from `begin`."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.example.com")])
    builder = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), begin, begin + 90 * DAY
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, passphrase: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


KEY = ec.generate_private_key(ec.SECP256R1())
CERTIFICATE = certificate(KEY)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Everything that a right configuration points to, and that configuration; where `user` gets at it."""
    with public_folder() as folder:
        fill(folder)
        yield folder


def fill(folder: Path) -> None:
    state = folder / "state"
    state.mkdir(0o750)
    (folder / "server.pem").write_bytes(CERTIFICATE)
    (folder / "server.key").write_bytes(pem(KEY))
    (folder / "server.key").chmod(0o600)
    if IS_ROOT:
        shutil.chown(state, USER)
        shutil.chown(folder / "server.key", USER)
    (folder / "submission.toml").write_text(
        f"""
        hostname = "mail.example.com"
        state_dir = "state"
        user = "{USER}"
        [[listen]]
        address = "127.0.0.1:587"
        [[listen]]
        address = "unix:{folder}/submission.sock"
        [tls]
        certificate = "server.pem"
        key = "server.key"
        """
    )


def findings(folder: Path, now: datetime.datetime = NOW) -> list[Finding]:
    return list(examine(load(folder / "submission.toml"), now))


def change(folder: Path, old: str, new: str) -> None:
    file = folder / "submission.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def run(folder: Path) -> Result:
    return CliRunner().invoke(commands, ["check", "-c", str(folder / "submission.toml")])


def test_all_is_right(folder: Path) -> None:
    result = run(folder)
    assert (result.exit_code, result.stderr) == (0, "")
    shown = tomllib.loads(result.stdout)
    assert shown["state_dir"] == str(folder / "state")
    assert shown["limits"]["recipients"] == 100


def test_every_fault_at_once_and_the_settings_all_the_same(folder: Path) -> None:
    change(folder, '"state"', '"elsewhere"')
    change(folder, f"unix:{folder}", f"unix:{folder}/run")
    (folder / "server.pem").unlink()
    (folder / "server.key").chmod(0o644)
    result = run(folder)
    assert result.exit_code == 78
    assert tomllib.loads(result.stdout)["state_dir"] == str(folder / "elsewhere")
    file = folder / "submission.toml"
    assert result.stderr.splitlines() == [
        f'{file}:state_dir: "{folder}/elsewhere": No such file or directory, must be a folder that {USER} may write to '
        "and others may not enter",
        f'{file}:listen[1].address: "{folder}/run" is not a folder',
        f'{file}:tls.certificate: "{folder}/server.pem": No such file or directory, must be a certificate and its '
        "chain in PEM format",
        f'{file}:tls.key: "{folder}/server.key" has mode 0644, must be 0640 or stricter',
    ]


def test_a_warning_is_told_and_does_not_fail(folder: Path) -> None:
    end = NOW + 3 * DAY
    (folder / "server.pem").write_bytes(certificate(KEY, begin=end - 90 * DAY))
    result = run(folder)
    assert result.exit_code == 0
    file = folder / "submission.toml"
    assert result.stderr == f"{file}:tls.certificate: warning: expires at {end:%Y-%m-%d %H:%M} UTC\n"


@pytest.mark.parametrize(
    ("now", "text", "is_warning"),
    [
        (NOW - DAY - DAY / 24, "is valid from", False),
        (NOW + 75 * DAY - DAY / 24, None, False),
        (NOW + 75 * DAY + DAY / 24, "expires at", True),
        (NOW + 89 * DAY - DAY / 24, "expires at", True),
        (NOW + 89 * DAY + DAY / 24, "expired at", False),
    ],
)
def test_dates(folder: Path, now: datetime.datetime, text: str | None, is_warning: bool) -> None:
    found = findings(folder, now)
    if text is None:
        assert found == []
    else:
        [finding] = found
        assert (finding.key, finding.is_warning) == ("tls.certificate", is_warning)
        assert finding.text.startswith(text)


def test_a_chain_is_a_certificate(folder: Path) -> None:
    (folder / "server.pem").write_bytes(CERTIFICATE + certificate(ec.generate_private_key(ec.SECP256R1())))
    assert findings(folder) == []


@pytest.mark.parametrize(
    "other",
    [lambda: ec.generate_private_key(ec.SECP256R1()), lambda: rsa.generate_private_key(65537, 2048)],
    ids=["same kind", "other kind"],
)
def test_the_key_of_another_certificate(
    folder: Path, other: Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]
) -> None:
    (folder / "server.key").write_bytes(pem(other()))
    assert findings(folder) == [Finding("tls.key", f'"{folder}/server.key" is not the key of "{folder}/server.pem"')]


@pytest.mark.parametrize("data", [b"", b"\xff\0", CERTIFICATE[:200], pem(KEY)])
def test_a_file_that_holds_no_certificate(folder: Path, data: bytes) -> None:
    (folder / "server.pem").write_bytes(data)
    text = f'"{folder}/server.pem" cannot be used, must be a certificate and its chain in PEM format'
    assert findings(folder) == [Finding("tls.certificate", text)]


@pytest.mark.parametrize("data", [b"", b"\xff\0", CERTIFICATE, pem(KEY)[:60], pem(KEY, b"secret")])
def test_a_file_that_holds_no_key(folder: Path, data: bytes) -> None:
    (folder / "server.key").write_bytes(data)
    text = f'"{folder}/server.key" cannot be used, must be a private key in PEM format without passphrase'
    assert findings(folder) == [Finding("tls.key", text)]


def test_what_openssl_refuses_to_serve(folder: Path) -> None:
    key = rsa.generate_private_key(65537, 1024)
    (folder / "server.pem").write_bytes(certificate(key))
    (folder / "server.key").write_bytes(pem(key))
    [finding] = findings(folder)
    assert finding.key == "tls.certificate"
    assert "is refused by OpenSSL: EE_KEY_TOO_SMALL" in finding.text


def test_every_name_has_a_certificate_of_its_own(folder: Path) -> None:
    names = ("a.com", "b.com")
    tables = "".join(
        f'\n[[tls.sni]]\nname = "{name}"\ncertificate = "{name}.pem"\nkey = "{name}.key"\n' for name in names
    )
    (folder / "submission.toml").write_text((folder / "submission.toml").read_text() + tables)
    for name, end in (("a.com", NOW + 90 * DAY), ("b.com", NOW - DAY)):
        (folder / f"{name}.pem").write_bytes(certificate(KEY, begin=end - 90 * DAY))
        shutil.copy(folder / "server.key", folder / f"{name}.key")
        shutil.chown(folder / f"{name}.key", USER)
    (folder / "a.com.key").chmod(0o644)
    (folder / "b.com.key").unlink()
    assert findings(folder) == [
        Finding("tls.sni[0].key", f'"{folder}/a.com.key" has mode 0644, must be 0640 or stricter'),
        Finding("tls.sni[1].certificate", f"expired at {NOW - DAY:%Y-%m-%d %H:%M} UTC"),
        Finding(
            "tls.sni[1].key",
            f'"{folder}/b.com.key": No such file or directory, must be a private key in PEM format without passphrase',
        ),
    ]


@pytest.mark.skipif(not IS_ROOT, reason="the service runs as another user only if root starts it")
@pytest.mark.parametrize(
    ("owner", "group", "mode", "is_right"),
    [
        (USER, "root", 0o400, True),
        ("root", "root", 0o600, False),
        ("root", None, 0o640, True),
        ("root", None, 0o600, False),
        ("root", "root", 0o640, False),
    ],
)
def test_root_asks_whether_the_user_can_read_a_key_again(
    folder: Path, owner: str, group: str | None, mode: int, is_right: bool
) -> None:
    """A group of None is the user's own."""
    own = pwd.getpwnam(USER).pw_gid
    shutil.chown(folder / "server.key", owner, own if group is None else group)
    (folder / "server.key").chmod(mode)
    ours = (os.geteuid(), os.getegid(), os.getgroups())
    told = findings(folder)
    assert (os.geteuid(), os.getegid(), os.getgroups()) == ours
    assert [(finding.key, finding.is_warning) for finding in told] == ([] if is_right else [("tls.key", True)])
    assert all(f"cannot be read by {USER}, so a renewed one" in finding.text for finding in told)


@pytest.mark.skipif(not IS_ROOT, reason="the service runs as another user only if root starts it")
def test_folders_above_a_certificate_have_to_be_open_too(folder: Path) -> None:
    (folder / "closed").mkdir(0o700)
    for name in ("server.pem", "server.key"):
        (folder / name).rename(folder / "closed" / name)
        (folder / name).symlink_to(f"closed/{name}")
    assert [finding.key for finding in findings(folder)] == ["tls.certificate", "tls.key"]


@pytest.mark.parametrize("mode", [0o755, 0o751, 0o701, 0o777])
def test_others_may_not_enter_the_state_folder(folder: Path, mode: int) -> None:
    (folder / "state").chmod(mode)
    [finding] = findings(folder)
    assert finding.key == "state_dir"
    assert f"has mode {mode:04o}" in finding.text


def test_the_state_folder_is_a_folder(folder: Path) -> None:
    change(folder, 'state_dir = "state"', 'state_dir = "server.pem"')
    assert ["is not a folder" in finding.text for finding in findings(folder) if finding.key == "state_dir"] == [True]


@pytest.mark.skipif(IS_ROOT, reason="nothing is closed to root")
def test_the_service_has_to_write_to_the_state_folder(folder: Path) -> None:
    (folder / "state").chmod(0o550)
    [finding] = findings(folder)
    assert (finding.key, "cannot be written to" in finding.text) == ("state_dir", True)


@pytest.mark.skipif(not IS_ROOT, reason="only root can give a folder away")
@pytest.mark.parametrize(
    ("owner", "group", "mode", "is_right"),
    [
        (USER, "root", 0o700, True),
        (USER, "root", 0o570, False),
        ("root", "root", 0o770, False),
        ("root", None, 0o770, True),
        ("root", None, 0o750, False),
    ],
)
def test_root_asks_whether_the_user_can_write(
    folder: Path, owner: str, group: str | None, mode: int, is_right: bool
) -> None:
    """A group of None is the user's own."""
    own = pwd.getpwnam(USER).pw_gid
    shutil.chown(folder / "state", owner, own if group is None else group)
    (folder / "state").chmod(mode)
    assert [finding.key for finding in findings(folder)] == ([] if is_right else ["state_dir"])


def touch(file: Path, mode: int) -> None:
    """An empty file of the service's."""
    file.touch()
    file.chmod(mode)
    if IS_ROOT:
        shutil.chown(file, USER)


@pytest.mark.skipif(not IS_ROOT, reason="the service runs as another user only if root starts it")
@pytest.mark.parametrize(("key", "name"), [("store.key_file", "store.key"), ("store.url", "users.db")])
def test_root_asks_whether_the_user_can_read_its_own_files(folder: Path, key: str, name: str) -> None:
    touch(folder / "state" / name, 0o600)
    assert findings(folder) == []
    shutil.chown(folder / "state" / name, "root")
    text = f'"{folder}/state/{name}" cannot be read by {USER}, must belong to that user (chown)'
    assert findings(folder) == [Finding(key, text)]


@pytest.mark.parametrize(("mode", "is_right"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False)])
def test_the_store_key_is_the_owners_alone(folder: Path, mode: int, is_right: bool) -> None:
    touch(folder / "state/store.key", mode)
    text = f'"{folder}/state/store.key" has mode {mode:04o}, must be 0600 or stricter'
    assert findings(folder) == ([] if is_right else [Finding("store.key_file", text)])


@pytest.mark.parametrize(("mode", "is_right"), [(0o600, True), (0o660, True), (0o664, False)])
def test_the_accounts_are_closed_to_others(folder: Path, mode: int, is_right: bool) -> None:
    touch(folder / "state/users.db", mode)
    text = f'"{folder}/state/users.db" has mode {mode:04o}, must be 0660 or stricter'
    assert findings(folder) == ([] if is_right else [Finding("store.url", text)])


def use_sasldb2(folder: Path) -> Path:
    """Let the accounts be in a file of Cyrus SASL's, with one that is right."""
    file = folder / "submission.toml"
    file.write_text(file.read_text() + '[store]\nurl = "sasldb2:../sasldb2"\n')
    path = folder / "state/../sasldb2"
    path.touch(0o600)
    path.write_bytes(berkeley_db.write({}))
    if IS_ROOT:
        shutil.chown(path, USER)
    return path


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda path: path.unlink(), "No such file or directory"),
        (lambda path: path.write_bytes(b"garbage"), "is no database of a format that is known here"),
        (lambda path: path.write_bytes(b"SQLite format 3\0"), "is in the format SQLite"),
        (lambda path: path.chmod(0o644), "has mode 0644"),
    ],
)
def test_cyrus_sasl_s_file_is_read(folder: Path, damage: Callable[[Path], object], complaint: str) -> None:
    path = use_sasldb2(folder)
    assert findings(folder) == []
    damage(path)
    [finding] = findings(folder)
    assert (finding.key, finding.is_warning) == ("store.url", False)
    assert finding.text.startswith(f"{path}: {complaint}")


@pytest.mark.skipif(not IS_ROOT, reason="the service runs as another user only if root starts it")
@pytest.mark.parametrize(
    ("owner", "group", "mode", "is_right"),
    [
        (USER, "root", 0o400, True),
        ("root", "root", 0o660, False),
        ("root", None, 0o660, True),
        ("root", None, 0o640, True),
        ("root", None, 0o600, False),
    ],
)
def test_root_asks_whether_the_user_can_read_cyrus_sasl_s_file(
    folder: Path, owner: str, group: str | None, mode: int, is_right: bool
) -> None:
    """A group of None is the user's own."""
    path = use_sasldb2(folder)
    shutil.chown(path, owner, pwd.getpwnam(USER).pw_gid if group is None else group)
    path.chmod(mode)
    told = findings(folder)
    assert [finding.key for finding in told] == ([] if is_right else ["store.url"])
    assert all(f"cannot be read by {USER}, must be open to a group" in finding.text for finding in told)


def test_a_user_that_does_not_exist_matters_to_root_only(folder: Path) -> None:
    change(folder, f'user = "{USER}"', 'user = "no-such-user"')
    text = '"no-such-user" does not exist, must be a user of the system'
    assert findings(folder) == [Finding("user", text, is_warning=not IS_ROOT)]


def test_without_tls_no_certificate_is_asked_for(folder: Path) -> None:
    change(folder, 'submission.sock"', 'submission.sock"\ntls = "none"')
    change(folder, '587"', '587"\ntls = "none"')
    change(folder, 'certificate = "server.pem"', "")
    change(folder, 'key = "server.key"', "")
    (folder / "server.pem").unlink()
    (folder / "server.key").unlink()
    assert findings(folder) == []


# Those who vouch for clients


def vouch(folder: Path, tls: str, auth: str) -> None:
    change(folder, 'key = "server.key"', f'key = "server.key"\n{tls}\n[auth]\n{auth}')


def test_authorities_of_clients(folder: Path) -> None:
    vouch(
        folder,
        'client_ca = "clients.pem"',
        'mechanisms = ["EXTERNAL"]\n[[auth.certificate]]\nuser = "alice"\nsubject = "CN=Alice"',
    )
    file = folder / "clients.pem"
    wish = "must be certificates of authorities in PEM format"
    assert findings(folder) == [Finding("tls.client_ca", f'"{file}": No such file or directory, {wish}')]
    file.write_text("nonsense")
    assert findings(folder) == [Finding("tls.client_ca", f'"{file}" cannot be used, {wish}')]
    file.write_bytes(CERTIFICATE)
    assert findings(folder) == []


KEYS = '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
OAUTH = 'mechanisms = ["OAUTHBEARER"]\n[auth.oauth]\nissuer = "https://id.example.com"\naudience = ["mail"]\n'


def test_keys_of_an_issuer(folder: Path) -> None:
    vouch(folder, "", OAUTH + 'jwks = "keys.json"')
    file = folder / "keys.json"
    assert findings(folder) == [Finding("auth.oauth.jwks", f'"{file}": No such file or directory')]
    file.write_text("{}")
    wish = "must be a JSON Web Key Set with a key for signatures"
    assert findings(folder) == [Finding("auth.oauth.jwks", f'"{file}" {wish}')]
    file.write_text(KEYS)
    assert findings(folder) == []


def test_the_secret_for_an_issuer(folder: Path) -> None:
    vouch(
        folder,
        "",
        OAUTH + 'introspection = "https://id.example.com/i"\nclient_id = "mail"\nclient_secret_file = "secret"',
    )
    file, key = folder / "secret", "auth.oauth.client_secret_file"
    assert findings(folder) == [Finding(key, f'"{file}": No such file or directory')]
    file.write_text("")
    file.chmod(0o640)
    if IS_ROOT:
        shutil.chown(file, USER)
    assert findings(folder) == [Finding(key, f'"{file}" does not hold a secret on one line')]
    file.write_text("sesame")
    assert findings(folder) == []
    file.chmod(0o644)
    assert findings(folder) == [Finding(key, f'"{file}" has mode 0644, must be 0640 or stricter')]


@pytest.mark.skipif(not IS_ROOT, reason="only root has power to lose")
def test_what_the_service_could_not_read(folder: Path) -> None:
    vouch(folder, "", OAUTH + 'jwks = "keys.json"')
    file = folder / "keys.json"
    file.write_text(KEYS)
    file.chmod(0o600)
    text = f'"{file}" cannot be read by {USER}, must be readable for the service'
    assert findings(folder) == [Finding("auth.oauth.jwks", text)]


def test_an_alert_has_to_be_a_program(folder: Path) -> None:
    file = folder / "submission.toml"
    before = file.read_text()
    for name, found in (("/bin/sh", []), ("/etc/passwd", [True]), ("/etc", [True]), ("/nonexistent", [True])):
        file.write_text(f'{before}\n[limits.user]\nalert = ["{name}", "x"]\n')
        assert [finding.key == "limits.user.alert" for finding in findings(folder)] == found


def test_the_token_of_the_metrics(folder: Path) -> None:
    change(folder, "[tls]", '[metrics]\ntoken_file = "token"\n[tls]')
    file, key = folder / "token", "metrics.token_file"
    assert findings(folder) == [Finding(key, f'"{file}": No such file or directory')]
    file.write_text("short")
    file.chmod(0o600)
    [finding] = findings(folder)
    assert (finding.key, "must hold 16 visible ASCII characters or more" in finding.text) == (key, True)
    file.write_text("0123456789abcdef")
    assert findings(folder) == []
    file.chmod(0o644)
    assert findings(folder) == [Finding(key, f'"{file}" has mode 0644, must be 0640 or stricter')]
