"""The defaults and checks of the settings, by key."""

import ipaddress
import os
import re
import socket
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from submission.config import ConfigError, load
from submission.config.settings import Settings
from submission.config.values import SystemdAddress, TcpAddress, UnixAddress

FILES = '[tls]\ncertificate = "server.pem"\nkey = "server.key"\n'
LISTEN = '[[listen]]\naddress = "127.0.0.1:587"\n'


def read(folder: Path, text: str) -> Settings:
    path = folder / "submission.toml"
    path.write_text(text)
    return load(path)


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return [line.removeprefix(f"{folder}/submission.toml:") for line in caught.value.faults]


def test_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, LISTEN + FILES)
    assert tomllib.loads(settings.effective()) == {
        "hostname": socket.gethostname(),
        "state_dir": "/var/lib/submission",
        "workers": 0,
        "user": "submission",
        "tls": {
            "certificate": f"{tmp_path}/server.pem",
            "key": f"{tmp_path}/server.key",
            "minimum": "1.2",
            "client_ca": "",
            "sni": [],
        },
        "listen": [
            {
                "address": "127.0.0.1:587",
                "tls": "starttls",
                "proxy_protocol": [],
                "tls_minimum": "1.2",
                "pop_before_smtp": True,
            }
        ],
        "auth": {
            "mechanisms": ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5"],
            "require_tls": True,
            "realm": socket.gethostname(),
            "exempt": [],
            "certificate_login": False,
            "certificate": [],
            "oauth": {
                "issuer": "",
                "audience": [],
                "jwks": "",
                "introspection": "",
                "client_id": "",
                "client_secret_file": "",
                "user_claim": "sub",
                "scope": "",
                "openid_configuration": "",
            },
        },
        "store": {"url": "sqlite:/var/lib/submission/users.db", "key_file": "/var/lib/submission/store.key"},
        "relay": {"address": "127.0.0.1:25", "tls": "none", "connect_timeout": 30, "final_timeout": 600},
        "limits": {
            "message_size": 41943040,
            "recipients": 100,
            "connections": 10000,
            "connections_per_ip": 50,
            "command_timeout": 300,
            "auth_failures": 5,
            "user": {
                "messages_per_hour": 0,
                "messages_per_day": 0,
                "recipients_per_hour": 0,
                "recipients_per_day": 0,
                "first_time_recipients_per_day": 0,
                "connections": 0,
                "alert": [],
                "suspend": False,
            },
            "address": {
                "messages_per_hour": 0,
                "messages_per_day": 0,
                "recipients_per_hour": 0,
                "recipients_per_day": 0,
            },
        },
        "policy": {
            "sender": "any",
            "from_header": "any",
            "senders": [],
            "log_only": False,
            "missing_from": "pass",
            "complete_header": True,
            "remove_bcc": False,
            "rewritten_recipients": False,
            "prevent_credential_leaks": False,
            "hide_client": True,
        },
        "pop_before_smtp": {
            "enabled": False,
            "lifetime": 1800,
            "logs": ["/var/log/mail.log"],
            "formats": [],
            "static": [],
            "deny": [],
            "shared": [],
            "relay_domains": [],
            "pattern": [],
            "sendmail": {"socketmap": "", "text_map": "", "access_map": ""},
        },
        "log": {"format": "logfmt", "syslog": ""},
        "metrics": {"address": "127.0.0.1:9587", "token_file": "", "client_config": False},
    }


FULL = """
hostname = "mail.example.com"
state_dir = "state"
workers = 2
user = "mailout"
[[listen]]
address = "[::]:587"
tls = "starttls"
tls_minimum = "1.0"
proxy_protocol = ["10.0.0.0/8", "2001:db8::7"]
pop_before_smtp = false
[[listen]]
address = "unix:run/submission.sock"
tls = "none"
[[listen]]
address = "systemd:submission.socket"
[tls]
certificate = "server.pem"
key = "/etc/ssl/server.key"
minimum = "1.3"
[[tls.sni]]
name = "Mail.Example.Org"
certificate = "org.pem"
key = "org.key"
[[tls.sni]]
name = "*.example.org"
certificate = "/etc/ssl/org.pem"
key = "/etc/ssl/org.key"
[auth]
mechanisms = ["cram-md5", "Plain"]
require_tls = false
realm = "example.com"
exempt = ["192.0.2.0/24", "2001:db8::1"]
[store]
url = "sqlite:accounts.db"
key_file = "/etc/submission/store.key"
[relay]
address = "localhost:2525"
tls = "starttls"
connect_timeout = "1.5s"
final_timeout = 60
[limits]
message_size = "1GiB"
recipients = 7
connections = 8
connections_per_ip = 9
command_timeout = "2m"
auth_failures = 3
[policy]
hide_client = false
[pop_before_smtp]
lifetime = "2h"
logs = ["journal"]
formats = ["dovecot"]
static = ["192.168", "10"]
deny = ["192.168.7.7"]
relay_domains = ["example.org"]
[log]
format = "json"
"""


def test_every_key_arrives(tmp_path: Path) -> None:
    settings = read(tmp_path, FULL)
    assert (settings.hostname, settings.workers, settings.user) == ("mail.example.com", 2, "mailout")
    assert settings.state_dir == tmp_path / "state"
    first, second, third = settings.listen
    assert (first.address, first.tls, first.tls_minimum) == (TcpAddress("::", 587), "starttls", "1.0")
    assert (second.address, second.tls) == (UnixAddress(tmp_path / "run/submission.sock"), "none")
    assert (third.address, third.tls_minimum) == (SystemdAddress("submission.socket"), "1.3")
    assert (first.pop_before_smtp, second.pop_before_smtp) == (False, True)
    assert first.proxy_protocol == tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "2001:db8::7")))
    assert (settings.tls.certificate, settings.tls.key) == (tmp_path / "server.pem", Path("/etc/ssl/server.key"))
    mail, others = settings.tls.sni
    assert (mail.name, others.name) == ("mail.example.org", "*.example.org")
    assert (mail.certificate, others.key) == (tmp_path / "org.pem", Path("/etc/ssl/org.key"))
    assert settings.auth.mechanisms == ("CRAM-MD5", "PLAIN")
    assert (settings.auth.require_tls, settings.auth.realm) == (False, "example.com")
    assert settings.auth.exempt == (ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("2001:db8::1"))
    assert settings.store.url == f"sqlite:{tmp_path}/state/accounts.db"
    assert settings.store.key_file == Path("/etc/submission/store.key")
    assert (settings.relay.address, settings.relay.tls) == (TcpAddress("localhost", 2525), "starttls")
    assert (settings.relay.connect_timeout, settings.relay.final_timeout) == (1.5, 60.0)
    limits = settings.limits
    assert (limits.message_size, limits.recipients, limits.connections) == (1 << 30, 7, 8)
    assert (limits.connections_per_ip, limits.command_timeout, limits.auth_failures) == (9, 120.0, 3)
    assert settings.policy.hide_client is False
    assert settings.pop_before_smtp.static == tuple(map(ipaddress.ip_network, ("192.168.0.0/16", "10.0.0.0/8")))
    assert settings.log.format == "json"


def test_the_effective_settings_read_back_the_same(tmp_path: Path) -> None:
    settings = read(tmp_path, FULL)
    (tmp_path / "elsewhere").mkdir()
    assert read(tmp_path / "elsewhere", settings.effective()) == settings


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = read(tmp_path, LISTEN + FILES)
    for table in (settings, settings.limits, settings.listen[0]):
        with pytest.raises(ValidationError):
            setattr(table, next(iter(type(table).model_fields)), "other")


TABLES = (
    "tls auth store relay limits limits.user limits.address policy pop_before_smtp pop_before_smtp.sendmail log metrics"
)


@pytest.mark.parametrize("table", TABLES.split())
def test_a_misspelt_key_is_a_fault_in_every_table(tmp_path: Path, table: str) -> None:
    text = LISTEN + FILES + ("" if table == "tls" else f"[{table}]\n") + "zzz = 1\n"
    [told] = faults(tmp_path, text)
    assert told.startswith(f"{table}.zzz: is unknown, allowed: ")


@pytest.mark.parametrize(
    ("key", "text", "allowed"),
    [
        ("store.url", LISTEN + '[store]\nurl = "postgresql://host/users"', '"sqlite:FILE", "sasldb2:FILE"'),
    ],
)
def test_what_this_version_cannot_do_is_refused(tmp_path: Path, key: str, text: str, allowed: str) -> None:
    [told] = [line for line in faults(tmp_path, text) if line.startswith(f"{key}: ")]
    assert " is not available in this version, allowed: " in told
    assert told.endswith(f"allowed: {allowed}")


@pytest.mark.parametrize(
    ("table", "key", "bad", "good"),
    [
        ("", "workers", ["-1", "1025", '"2"', "true"], ["0", "1024"]),
        ("limits", "message_size", ["0", "-1", '"0MiB"', "1.5", "true"], ["1", '"1GiB"']),
        ("limits", "recipients", ["0", "-1", "1000001", "true"], ["1", "1000"]),
        ("limits", "connections", ["0", "1000001"], ["1"]),
        ("limits", "connections_per_ip", ["0", "1000001"], ["1"]),
        ("limits", "auth_failures", ["0", "-1"], ["1"]),
        ("limits.user", "messages_per_hour", ["-1", "1000000001", "true", '"1"'], ["0", "1000000000"]),
        ("limits.user", "alert", ['"/bin/true"', '["true"]', '[""]'], ["[]", '["/bin/true", "x y"]']),
        ("limits.user", "suspend", ["1", '"true"'], ["true"]),
        ("limits.address", "recipients_per_day", ["-1", "0.5"], ["0", "1"]),
        ("limits", "command_timeout", ["0", "-1", "nan", "inf", '"0s"', '"32d"', "true"], ["0.1", '"31d"']),
        ("relay", "connect_timeout", ["0", "nan", "inf", '"30 s"'], ["1"]),
        ("relay", "final_timeout", ["0", "nan", "inf", '"-1s"'], ['"10m"']),
        ("pop_before_smtp", "lifetime", ["0", '"30"', '"59s"', '"32d"'], ['"1m"', '"30m"', '"31d"']),
    ],
)
def test_ranges(tmp_path: Path, table: str, key: str, bad: list[str], good: list[str]) -> None:
    header = f"[{table}]\n" if table else ""
    full_key = f"{table}.{key}" if table else key
    tail = "" if table else LISTEN + FILES
    head = LISTEN + FILES if table else ""
    for value in bad:
        assert [line.partition(": ")[0] for line in faults(tmp_path, f"{head}{header}{key} = {value}\n{tail}")] == [
            full_key
        ], value
    for value in good:
        read(tmp_path, f"{head}{header}{key} = {value}\n{tail}")


@pytest.mark.parametrize("address", ["0.0.0.0:9587", "192.0.2.1:9587", "[::]:9587"])
def test_metrics_for_other_hosts_need_a_token(tmp_path: Path, address: str) -> None:
    text = LISTEN + FILES + f'[metrics]\naddress = "{address}"\n'
    assert faults(tmp_path, text) == [
        "metrics.token_file: is missing, must be the path of a file where metrics.address, "
        f'"{address}", is no loopback address'
    ]
    assert read(tmp_path, text + 'token_file = "token"\n').metrics.token_file == tmp_path / "token"


def test_a_port_that_mail_programs_are_sent_to_needs_a_token(tmp_path: Path) -> None:
    text = LISTEN + FILES + "[metrics]\nclient_config = true\n"
    assert faults(tmp_path, text) == [
        "metrics.token_file: is missing, must be the path of a file where metrics.client_config is true, "
        "which brings others to the port"
    ]
    assert read(tmp_path, text + 'token_file = "token"\n').metrics.client_config
    assert read(tmp_path, text + 'address = ""\n').metrics.client_config


@pytest.mark.parametrize(("address", "host"), [("", None), ("127.0.0.2:1", "127.0.0.2"), ("[::1]:9", "::1")])
def test_metrics_may_be_had_on_this_host_or_not_at_all(tmp_path: Path, address: str, host: str | None) -> None:
    found = read(tmp_path, LISTEN + FILES + f'[metrics]\naddress = "{address}"\n').metrics.address
    assert (found and found.host) == host


@pytest.mark.parametrize("address", ["localhost:9587", "127.0.0.1", "unix:/run/metrics", "systemd:metrics", ":9587"])
def test_metrics_have_a_port_of_an_address(tmp_path: Path, address: str) -> None:
    [told] = faults(tmp_path, LISTEN + FILES + f'[metrics]\naddress = "{address}"\n')
    assert told.startswith(f'metrics.address: "{address}" must be an address literal and a port')


@pytest.mark.parametrize("missing", ["certificate", "key"])
def test_certificate_and_key_go_together(tmp_path: Path, missing: str) -> None:
    other = "key" if missing == "certificate" else "certificate"
    told = faults(tmp_path, LISTEN + f'tls = "none"\n[tls]\n{other} = "file.pem"\n')
    assert told == [f"tls.{missing}: is missing, must be the path of a PEM file where tls.{other} is set"]


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_tls_needs_a_certificate_and_a_key(tmp_path: Path, mode: str) -> None:
    told = faults(tmp_path, LISTEN + f'tls = "{mode}"\n')
    assert [line.partition(":")[0] for line in told] == ["tls.certificate", "tls.key"]


def test_without_tls_no_certificate_is_needed(tmp_path: Path) -> None:
    settings = read(tmp_path, LISTEN + 'tls = "none"\n[tls]\ncertificate = ""\n')
    assert (settings.tls.certificate, settings.tls.key) == (None, None)


def test_faults_of_a_name_have_its_place(tmp_path: Path) -> None:
    text = LISTEN + FILES + '[[tls.sni]]\nname = "192.0.2.1"\ncertificate = ""\ncertifcate = "x"\n'
    assert faults(tmp_path, text) == [
        'tls.sni[0].name: "192.0.2.1" must be a host name such as "mail.example.com" or "*.example.com", in ASCII',
        'tls.sni[0].certificate: "" must be the path of a file or folder',
        "tls.sni[0].key: is missing, and has no default",
        'tls.sni[0].certifcate: is unknown, did you mean "certificate"?',
    ]


def test_a_name_has_one_certificate(tmp_path: Path) -> None:
    names = ("a.example", "b.example", "A.example")
    tables = "".join(f'[[tls.sni]]\nname = "{name}"\ncertificate = "c"\nkey = "k"\n' for name in names)
    assert faults(tmp_path, LISTEN + FILES + tables) == [
        'tls.sni[0].name: "a.example" is there more than once',
        'tls.sni[2].name: "a.example" is there more than once',
    ]


def test_a_listener_has_the_minimum_of_tls_unless_it_has_its_own(tmp_path: Path) -> None:
    text = LISTEN + LISTEN.replace("587", "465") + 'tls_minimum = "1.1"\n' + FILES + 'minimum = "1.3"\n'
    assert [listener.tls_minimum for listener in read(tmp_path, text).listen] == ["1.3", "1.1"]


def test_a_unix_socket_has_no_clients_whose_proxy_header_could_be_believed(tmp_path: Path) -> None:
    text = '[[listen]]\naddress = "unix:socket"\ntls = "none"\nproxy_protocol = ["127.0.0.1"]\n'
    told = faults(tmp_path, text)
    assert told == [
        "listen[0].proxy_protocol: has no effect on a Unix socket, whose clients come from no network, must be []"
    ]


def test_the_same_address_in_two_spellings_is_the_same(tmp_path: Path) -> None:
    text = '[[listen]]\naddress = "[::]:587"\n[[listen]]\naddress = "[0:0::0]:0587"\n' + FILES
    assert [line.partition(":")[0] for line in faults(tmp_path, text)] == ["listen[0].address", "listen[1].address"]


def test_no_tls_for_logins_is_only_for_mechanisms_that_send_no_password(tmp_path: Path) -> None:
    head = LISTEN + FILES + "[auth]\nrequire_tls = false\n"
    assert read(tmp_path, head).auth.require_tls is False
    assert read(tmp_path, head + 'mechanisms = ["CRAM-MD5"]\n').auth.require_tls is False
    assert read(tmp_path, head + 'mechanisms = ["SCRAM-SHA-256"]\n').auth.require_tls is False
    [told] = faults(tmp_path, head + 'mechanisms = ["SCRAM-SHA-256-PLUS", "PLAIN", "LOGIN"]\n')
    assert told.startswith("auth.require_tls: false lets only mechanisms through that neither send the password")
    assert told.endswith('one of "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "DIGEST-MD5"')


def test_mechanisms_are_there_once_and_at_least_one(tmp_path: Path) -> None:
    head = LISTEN + FILES + "[auth]\n"
    assert faults(tmp_path, head + 'mechanisms = ["PLAIN", "plain"]\n') == [
        "auth.mechanisms: a mechanism is there more than once"
    ]
    assert faults(tmp_path, head + "mechanisms = []\n") == ["auth.mechanisms: [] must hold one item at least"]


def test_the_host_name_is_the_realm_unless_there_is_one(tmp_path: Path) -> None:
    head = 'hostname = "mail.example.com"\n' + LISTEN + FILES
    assert read(tmp_path, head).auth.realm == "mail.example.com"
    assert read(tmp_path, head + '[auth]\nrealm = "example.org"\n').auth.realm == "example.org"


@pytest.mark.parametrize(
    ("listen", "relay"),
    [
        ("127.0.0.1:25", "127.0.0.1:25"),
        ("0.0.0.0:25", "127.0.0.1:25"),
        ("[::]:25", "localhost:25"),
        ("[::1]:25", "[::1]:25"),
        ("unix:/run/s", "unix:/run/s"),
    ],
)
def test_the_relay_is_none_of_our_listeners(tmp_path: Path, listen: str, relay: str) -> None:
    text = f'[[listen]]\naddress = "{listen}"\ntls = "none"\n[relay]\naddress = "{relay}"\n'
    assert faults(tmp_path, text) == [f'relay.address: "{relay}" is a listener of our own, "{listen}"']


@pytest.mark.parametrize(
    ("listen", "relay"),
    [("127.0.0.1:587", "127.0.0.1:25"), ("192.0.2.1:25", "127.0.0.1:25"), ("0.0.0.0:25", "mx.example.com:25")],
)
def test_a_relay_that_only_looks_like_one_of_ours(tmp_path: Path, listen: str, relay: str) -> None:
    settings = read(tmp_path, f'[[listen]]\naddress = "{listen}"\ntls = "none"\n[relay]\naddress = "{relay}"\n')
    assert str(settings.relay.address) == relay


def test_the_environment_and_the_current_folder_are_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read(tmp_path, FULL)
    monkeypatch.chdir("/")
    monkeypatch.setattr(os, "environ", {})
    assert read(tmp_path, FULL) == before
    assert not re.search(r"\bNone\b", before.effective())


def test_a_store_that_cannot_disable_anybody_allows_no_suspension(tmp_path: Path) -> None:
    text = LISTEN + FILES + '[store]\nurl = "{}"\n[limits.user]\nsuspend = true\n'
    [told] = faults(tmp_path, text.format("sasldb2:/etc/sasldb2"))
    assert told == "limits.user.suspend: a sasldb2 store can't keep that a user is disabled, must be false"
    assert read(tmp_path, text.format("sqlite:users.db")).limits.user.suspend
