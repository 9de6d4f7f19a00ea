"""Hashes that other programs made: imported, good for a login, and replaced by it."""

from __future__ import annotations

import smtplib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from submission.core.addresses import Login
from submission.credentials import open_store
from tests.support import programs
from tests.support.server import REALM, Server, public_folder
from tests.support.sink import Sink

PASSWORD = "correct horse"


def output(*command: str) -> str:
    programs.require(command[0])
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def htpasswd(*flags: str) -> Callable[[], tuple[str, str]]:
    return lambda: ("htpasswd", output("htpasswd", "-nb", *flags, "user", PASSWORD).partition(":")[2])


def doveadm(scheme: str) -> Callable[[], tuple[str, str]]:
    return lambda: ("passwd-file", output("doveadm", "-O", "pw", "-s", scheme, "-p", PASSWORD))


def mkpasswd(method: str) -> Callable[[], tuple[str, str]]:
    return lambda: ("passwd-file", output("mkpasswd", "-m", method, PASSWORD))


def openssl(flag: str) -> Callable[[], tuple[str, str]]:
    return lambda: ("passwd-file", output("openssl", "passwd", flag, PASSWORD))


HASHES = {
    "htpasswd-bcrypt": htpasswd("-B", "-C", "5"),
    "htpasswd-apr1": htpasswd("-m"),
    "htpasswd-sha": htpasswd("-s"),
    "doveadm-sha512-crypt": doveadm("SHA512-CRYPT"),
    "doveadm-sha256-crypt": doveadm("SHA256-CRYPT"),
    "doveadm-md5-crypt": doveadm("MD5-CRYPT"),
    "doveadm-blf-crypt": doveadm("BLF-CRYPT"),
    "doveadm-ssha": doveadm("SSHA"),
    "doveadm-ssha256": doveadm("SSHA256"),
    "doveadm-ssha512": doveadm("SSHA512"),
    "doveadm-ldap-md5": doveadm("LDAP-MD5"),
    "doveadm-pbkdf2": doveadm("PBKDF2"),
    "doveadm-argon2id": doveadm("ARGON2ID"),
    "mkpasswd-sha512": mkpasswd("sha-512"),
    "mkpasswd-des": mkpasswd("des"),
    "openssl-6": openssl("-6"),
    "openssl-1": openssl("-1"),
    "openssl-apr1": openssl("-apr1"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Sink() as sink, public_folder() as folder:
        server = Server(folder, sink.address)
        server.add_user("somebody", "else")
        with server:
            yield server


def take(server: Server, name: str, form: str, hashed: str) -> None:
    command = [sys.executable, "-m", "submission", "user", "import", "-c", str(server.configuration), "--format", form]
    subprocess.run([*command, "-"], input=f"{name}:{hashed}\n", check=True, capture_output=True, text=True, timeout=60)


def log_in(server: Server, name: str, password: str) -> int:
    with smtplib.SMTP_SSL("127.0.0.1", server.ports["implicit"], context=context(server)) as client:
        client.ehlo()
        client.user, client.password = name, password
        try:
            return client.auth("PLAIN", client.auth_plain)[0]
        except smtplib.SMTPAuthenticationError as error:
            return error.smtp_code


def context(server: Server):  # type: ignore[no-untyped-def]  # noqa: ANN201
    tls = server.client_context()
    tls.check_hostname = False
    return tls


@pytest.mark.parametrize("kind", HASHES)
def test_a_hash_of_another_program_s_is_good_once_and_then_ours(kind: str, server: Server) -> None:
    form, hashed = HASHES[kind]()
    take(server, kind, form, hashed)
    with closing(open_store(f"sqlite:{server.folder}/state/users.db")) as store:
        login = Login(kind, REALM)
        before = store.read(login)
        assert before is not None
        assert before.scram_sha_256 == ""
        assert log_in(server, kind, "incorrect horse") == 535
        assert store.read(login) == before
        assert log_in(server, kind, PASSWORD) == 235
        after = store.read(login)
        assert after is not None
        assert after.password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert after.scram_sha_256.startswith("{SCRAM-SHA-256}60000,")
        assert log_in(server, kind, PASSWORD) == 235


def test_keys_that_dovecot_made_serve_scram(server: Server) -> None:
    hashed = output("doveadm", "-O", "pw", "-s", "SCRAM-SHA-256", "-p", PASSWORD)
    take(server, "scram", "passwd-file", hashed)
    with closing(open_store(f"sqlite:{server.folder}/state/users.db")) as store:
        record = store.read(Login("scram", REALM))
    assert record is not None
    assert record.scram_sha_256 == hashed
    assert log_in(server, "scram", PASSWORD) == 535  # there is nothing that PLAIN could be checked with
