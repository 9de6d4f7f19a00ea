"""What may be said of certificates and tokens, by whole configuration files."""

from pathlib import Path

import pytest

from submission.config import ConfigError, Settings, load

FILE = """
hostname = "mail.example.com"
[[listen]]
address = "127.0.0.1:587"
[tls]
certificate = "server.pem"
key = "server.key"
{tls}
[auth]
{auth}
"""
CERTIFICATE = '[[auth.certificate]]\nuser = "alice"\nemail = "Alice@Example.com"\n'
EXTERNAL = 'mechanisms = ["PLAIN", "EXTERNAL"]\n'
CLIENT_CA = 'client_ca = "clients.pem"'
BEARER = 'mechanisms = ["OAUTHBEARER"]\n'
OAUTH = '[auth.oauth]\nissuer = "https://id.example.com"\naudience = ["mail"]\n'


def read(folder: Path, auth: str, tls: str = "") -> Settings:
    path = folder / "submission.toml"
    path.write_text(FILE.format(auth=auth, tls=tls))
    return load(path)


def faults(folder: Path, auth: str, tls: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, auth, tls)
    return [line.removeprefix(f"{folder}/submission.toml:") for line in caught.value.faults]


def test_certificates(tmp_path: Path) -> None:
    subject = '[[auth.certificate]]\nuser = "bob@example.org"\nsubject = "CN=Bob,O=Example"\n'
    settings = read(tmp_path, EXTERNAL + "certificate_login = true\n" + CERTIFICATE + subject, CLIENT_CA)
    assert settings.tls.client_ca == tmp_path / "clients.pem"
    assert [(entry.user, entry.email, entry.subject) for entry in settings.auth.certificate] == [
        ("alice", "Alice@example.com", ""),
        ("bob@example.org", "", "CN=Bob,O=Example"),
    ]
    assert settings.auth.certificate_login
    (tmp_path / "submission.toml").write_text(settings.effective())
    assert load(tmp_path / "submission.toml") == settings


@pytest.mark.parametrize(
    ("auth", "tls", "expected"),
    [
        (
            EXTERNAL + CERTIFICATE,
            "",
            ["tls.client_ca: is missing, must be the path of a PEM file where auth.certificate is set"],
        ),
        (
            EXTERNAL,
            CLIENT_CA,
            ["auth.certificate: is missing, must say whose login a certificate is where auth.mechanisms has EXTERNAL"],
        ),
        (
            "certificate_login = true",
            CLIENT_CA,
            [
                "auth.certificate: is missing, must say whose login a certificate is where "
                "auth.certificate_login is true"
            ],
        ),
        (
            CERTIFICATE,
            CLIENT_CA,
            ['tls.client_ca: has no effect without "EXTERNAL" in auth.mechanisms or auth.certificate_login = true'],
        ),
        (
            EXTERNAL + '[[auth.certificate]]\nuser = "alice"\n' + CERTIFICATE + 'subject = "CN=Alice"\n',
            CLIENT_CA,
            [
                "auth.certificate[0]: must have either email or subject",
                "auth.certificate[1]: must have either email or subject",
            ],
        ),
        (
            EXTERNAL + CERTIFICATE + CERTIFICATE.replace("Example.com", "example.COM").replace('"alice"', '"bob"'),
            CLIENT_CA,
            [
                "auth.certificate[0].email: is there more than once",
                "auth.certificate[1].email: is there more than once",
            ],
        ),
        (
            EXTERNAL + CERTIFICATE.replace("Alice@Example.com", "alice"),
            CLIENT_CA,
            ['auth.certificate[0].email: "alice" must be an address such as "alice@example.com", in ASCII'],
        ),
    ],
)
def test_what_contradicts_itself_about_certificates(tmp_path: Path, auth: str, tls: str, expected: list[str]) -> None:
    assert faults(tmp_path, auth, tls) == expected


def test_tokens(tmp_path: Path) -> None:
    oauth = read(tmp_path, BEARER + OAUTH + 'jwks = "keys.json"\nscope = "mail"\n').auth.oauth
    assert (oauth.issuer, oauth.audience, oauth.jwks) == (
        "https://id.example.com",
        ("mail",),
        f"{tmp_path}/keys.json",
    )
    assert (oauth.user_claim, oauth.scope) == ("sub", "mail")
    settings = read(
        tmp_path,
        BEARER
        + OAUTH
        + 'introspection = "https://id.example.com/i"\nclient_id = "mail"\nclient_secret_file = "secret"\n',
    )
    assert settings.auth.oauth.client_secret_file == tmp_path / "secret"
    (tmp_path / "submission.toml").write_text(settings.effective())
    assert load(tmp_path / "submission.toml") == settings


def test_settings_without_tokens_can_be_read_again(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    (tmp_path / "submission.toml").write_text(settings.effective())
    assert load(tmp_path / "submission.toml") == settings


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        (
            BEARER,
            [
                "auth.oauth.issuer: is missing, must be the URL that tokens name as their issuer where "
                "auth.mechanisms has OAUTHBEARER"
            ],
        ),
        (
            '[auth.oauth]\nscope = "mail"\n',
            [
                "auth.oauth.issuer: is missing, must be the URL that tokens name as their issuer where "
                "auth.oauth is there"
            ],
        ),
        (
            OAUTH + 'jwks = "keys.json"\n',
            ['auth.oauth.issuer: has no effect without "OAUTHBEARER" or "XOAUTH2" in auth.mechanisms'],
        ),
        (
            BEARER + '[auth.oauth]\nissuer = "https://id.example.com"\n',
            [
                "auth.oauth.audience: is missing, else tokens for any other service would be good here",
                "auth.oauth.jwks: must be set, or auth.oauth.introspection, and not both",
            ],
        ),
        (
            BEARER + OAUTH + 'jwks = "keys.json"\nintrospection = "https://id.example.com/i"\nclient_id = "x"\n',
            [
                "auth.oauth.jwks: must be set, or auth.oauth.introspection, and not both",
                "auth.oauth.client_secret_file: is missing, the issuer answers nobody else about tokens",
            ],
        ),
        (
            BEARER + OAUTH.replace("https", "http") + 'jwks = "keys.json"\n',
            [
                'auth.oauth.issuer: "http://id.example.com" must be a URL that begins with "https://", or "http://" '
                "where the host is 127.0.0.1 or ::1"
            ],
        ),
    ],
)
def test_what_contradicts_itself_about_tokens(tmp_path: Path, auth: str, expected: list[str]) -> None:
    assert faults(tmp_path, auth) == expected
