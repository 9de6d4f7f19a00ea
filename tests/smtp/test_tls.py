"""Handshakes in memory: OpenSSL at both ends, no sockets. Those with the service itself are among the peers."""

import asyncio
import ssl
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from scramp.core import CBindData

from submission.config.settings import Sni, Tls, TlsVersion
from submission.smtp.pem import CertificateError
from submission.smtp.tls import ServerTls, make_context, served_end_point
from tests.support.authority import Authority, put
from tests.support.client_authority import ClientAuthority

NOW = datetime.now(UTC)
MINIMUMS: tuple[TlsVersion, ...] = ("1.0", "1.1", "1.2", "1.3")
VERSIONS = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
NAMES = ("mail.example.com", "mail.example.org", "any.example.org")
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def _old_versions() -> Iterator[None]:
    with warnings.catch_warnings():  # that the old versions are old is why there is a setting
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    for name in NAMES:
        authority.issue(tmp_path, name)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    return tmp_path


def server_tls(folder: Path, minimums: tuple[TlsVersion, ...] = MINIMUMS, client_ca: Path | None = None) -> ServerTls:
    """The first of the names is the default."""
    default, *others = NAMES
    sni = tuple(
        Sni(name=name.replace("any.", "*."), certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
        for name in others
    )
    tls = Tls(certificate=folder / f"{default}.pem", key=folder / f"{default}.key", sni=sni, client_ca=client_ca)
    return ServerTls(tls, minimums, NOW)


def client_context(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that speaks one version only, and trusts everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


class Connection:
    """Both ends of a finished handshake. Making it raises ssl.SSLError where there is none."""

    def __init__(
        self,
        server_context: ssl.SSLContext,
        context: ssl.SSLContext,
        name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(to_client, to_server, server_hostname=name, session=session)
        self.server = server_context.wrap_bio(to_server, to_client, server_side=True)
        done: set[ssl.SSLObject] = set()
        for end in (self.client, self.server) * 5:
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
        assert len(done) == 2, "the handshake does not end"
        self.exchange()  # tickets of TLS 1.3 arrive with what is read next

    def exchange(self) -> None:
        self.server.write(b"x")
        assert self.client.read(1) == b"x"

    @property
    def end_point(self) -> bytes:
        """The tls-server-end-point as the client has it."""
        certificate = self.client.getpeercert(binary_form=True)
        assert certificate
        return bytes(CBindData.from_der(certificate))

    @property
    def serial(self) -> int:
        """That of the certificate which the server showed, not now but in the first handshake of the session."""
        certificate = self.client.getpeercert(binary_form=True)
        assert certificate
        return x509.load_der_x509_certificate(certificate).serial_number


def serial(folder: Path, name: str) -> int:
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes()).serial_number


@pytest.mark.parametrize("minimum", MINIMUMS)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [None, *NAMES[:2]])
def test_the_minimum_is_what_clients_find(
    folder: Path, minimum: TlsVersion, version: ssl.TLSVersion, name: str | None
) -> None:
    context = server_tls(folder).context(minimum)
    if VERSIONS.index(version) < MINIMUMS.index(minimum):
        with pytest.raises(ssl.SSLError):
            Connection(context, client_context(version), name)
    else:
        client = Connection(context, client_context(version), name).client
        assert client.version() == version.name.replace("_", ".")


def test_clients_who_trust_the_authority_are_content(folder: Path) -> None:
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    assert Connection(server_tls(folder).context("1.2"), context, NAMES[0]).client.version() == "TLSv1.3"
    (folder / "other.pem").write_bytes(Authority().pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        Connection(server_tls(folder).context("1.2"), ssl.create_default_context(cafile=folder / "other.pem"), NAMES[0])


@pytest.mark.parametrize("minimum", MINIMUMS)
def test_options_of_a_connection(folder: Path, minimum: TlsVersion) -> None:
    front = server_tls(folder).context(minimum)
    effective = Connection(front, client_context(ssl.TLSVersion.TLSv1_3)).server.context
    for context in (front, effective):
        for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION, ssl.OP_CIPHER_SERVER_PREFERENCE):
            assert context.options & option
        assert context.num_tickets == 1
        assert context.verify_mode is ssl.CERT_NONE
    assert front.get_ciphers() == effective.get_ciphers()
    assert Connection(front, client_context(ssl.TLSVersion.TLSv1_3)).server.selected_alpn_protocol() is None


def test_ciphers_keep_secrets_whose_key_is_lost_later(folder: Path) -> None:
    ciphers = make_context("1.2").get_ciphers()
    assert {cipher["name"].partition("-")[0] for cipher in ciphers} == {
        "ECDHE",
        "TLS_AES_256_GCM_SHA384",
        "TLS_AES_128_GCM_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
    }
    assert not [cipher for cipher in ciphers if cipher["name"].endswith(("-SHA", "-CCM", "-CCM8"))]


def test_old_versions_get_no_ciphers_without_keys_or_encryption() -> None:
    names = {cipher["name"] for cipher in make_context("1.0").get_ciphers()}
    assert "ECDHE-RSA-AES128-SHA" in names
    assert not [name for name in names if any(word in name for word in ("NULL", "EXP", "ADH", "AECDH", "PSK", "SRP"))]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, "mail.example.com"),
        ("mail.example.com", "mail.example.com"),
        ("mail.example.org", "mail.example.org"),
        ("MAIL.Example.ORG", "mail.example.org"),
        ("other.example.org", "any.example.org"),
        ("a.b.example.org", "mail.example.com"),
        ("example.org", "mail.example.com"),
        ("org", "mail.example.com"),
        ("mail.example.net", "mail.example.com"),
        ("a" * 63 + ".example.com", "mail.example.com"),
    ],
)
def test_a_client_gets_the_certificate_for_the_name_it_asks_for(
    folder: Path, version: ssl.TLSVersion, name: str | None, expected: str
) -> None:
    connection = Connection(server_tls(folder).context("1.0"), client_context(version), name)
    assert connection.serial == serial(folder, expected)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [None, *NAMES[:2]])
def test_a_renewal(folder: Path, authority: Authority, version: ssl.TLSVersion, name: str | None) -> None:
    tls = server_tls(folder)
    front, client = tls.context("1.0"), client_context(version)
    before = Connection(front, client, name)
    old = before.serial
    assert not tls.has_changed()
    new = authority.issue(folder, name or NAMES[0])
    assert tls.has_changed()
    assert Connection(front, client, name).serial == old
    tls.reload(NOW)
    assert not tls.has_changed()
    assert tls.context("1.0") is front
    assert Connection(front, client, name).serial == new
    before.exchange()
    resumed = Connection(front, client, name, before.client.session)
    assert resumed.client.session_reused
    assert resumed.serial == old  # of the session: none was shown again


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", [None, *NAMES[:2]])
def test_the_end_point_is_that_of_the_certificate_which_the_client_saw(
    folder: Path, authority: Authority, version: ssl.TLSVersion, name: str | None
) -> None:
    tls = server_tls(folder)
    front, client = tls.context("1.0"), client_context(version)
    before = Connection(front, client, name)
    assert served_end_point(before.server) == before.end_point
    authority.issue(folder, name or NAMES[0])
    tls.reload(NOW)
    after = Connection(front, client, name)
    assert served_end_point(after.server) == after.end_point
    assert served_end_point(before.server) == before.end_point != after.end_point
    resumed = Connection(front, client, name, before.client.session)
    assert resumed.end_point == before.end_point
    assert served_end_point(resumed.server) is None  # nobody told us which it was


def test_a_context_of_others_has_no_end_point(folder: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / f"{NAMES[0]}.pem", folder / f"{NAMES[0]}.key")
    assert served_end_point(Connection(context, client_context(VERSIONS[-1])).server) is None


def rsa_key() -> bytes:
    key = rsa.generate_private_key(65537, 2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("suffix", "make", "told"),
    [
        ("pem", lambda data: b"garbage", "cannot be used, must be a certificate and its chain in PEM format"),
        ("pem", lambda data: data[: len(data) // 4], "cannot be used, must be a certificate and its chain"),
        ("pem", lambda data: data[:-100], "is refused by OpenSSL"),
        ("pem", lambda data: Authority().pem, "is not the key of"),
        ("key", lambda data: b"", "cannot be used, must be a private key in PEM format without passphrase"),
        ("key", lambda data: rsa_key(), "is not the key of"),
    ],
    ids=["garbage", "half", "half a chain", "another", "empty key", "key of another kind"],
)
def test_a_renewal_that_is_no_good_changes_nothing(
    folder: Path, authority: Authority, name: str, suffix: str, make: Callable[[bytes], bytes], told: str
) -> None:
    tls = server_tls(folder)
    old = {name: serial(folder, name) for name in NAMES}
    for each in NAMES:
        authority.issue(folder, each)
    put(folder / f"{name}.{suffix}", make((folder / f"{name}.{suffix}").read_bytes()))
    with pytest.raises(CertificateError) as caught:
        tls.reload(NOW)
    assert told in str(caught.value)
    assert f"{folder}/{name}." in str(caught.value)
    for each in NAMES[:2]:
        assert Connection(tls.context("1.2"), client_context(VERSIONS[3]), each).serial == old[each]
    assert not tls.has_changed()  # nobody wants to read the same every few seconds
    new = authority.issue(folder, name)
    assert tls.has_changed()
    tls.reload(NOW)
    asked = name.replace("any", "some")
    assert Connection(tls.context("1.2"), client_context(VERSIONS[3]), asked).serial == new


@pytest.mark.parametrize("days", [-400, 1])
def test_one_that_is_not_good_now_is_taken_only_where_there_is_no_better(
    folder: Path, authority: Authority, days: int
) -> None:
    tls = server_tls(folder)
    old = serial(folder, NAMES[0])
    new = authority.issue(folder, NAMES[0], days=days)
    with pytest.raises(CertificateError, match=r"(expired at|is valid from) .* and the one before it is still good"):
        tls.reload(NOW)
    assert Connection(tls.context("1.2"), client_context(VERSIONS[3])).serial == old
    at_start = server_tls(folder)
    assert Connection(at_start.context("1.2"), client_context(VERSIONS[3])).serial == new
    other = authority.issue(folder, NAMES[0], days=days)
    at_start.reload(NOW)
    assert Connection(at_start.context("1.2"), client_context(VERSIONS[3])).serial == other


def test_a_file_that_goes_away_and_comes_back(folder: Path) -> None:
    tls = server_tls(folder)
    file, elsewhere = folder / f"{NAMES[1]}.key", folder / "elsewhere"
    file.rename(elsewhere)
    assert tls.has_changed()
    with pytest.raises(CertificateError, match="No such file or directory"):
        tls.reload(NOW)
    assert not tls.has_changed()
    elsewhere.rename(file)
    assert tls.has_changed()
    tls.reload(NOW)


@pytest.mark.parametrize("change", ["content", "mode", "link"])
def test_changes_that_are_seen(folder: Path, change: str, authority: Authority) -> None:
    file = folder / f"{NAMES[0]}.pem"
    if change == "link":
        (folder / "1").mkdir()
        file.rename(folder / "1/live.pem")
        file.symlink_to("1/live.pem")
    tls = server_tls(folder)
    if change == "content":  # in place, of the same length
        file.write_bytes(bytes(reversed(file.read_bytes())))
    elif change == "mode":
        file.chmod(0o640)
    else:
        (folder / "1/live.pem").rename(folder / "1/archived.pem")
        (folder / "1/live.pem").write_bytes((folder / "1/archived.pem").read_bytes())
    assert tls.has_changed()


def test_a_file_that_changes_while_it_is_read_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = server_tls(folder)
    old, load = serial(folder, NAMES[0]), ssl.SSLContext.load_cert_chain

    def load_late(context: ssl.SSLContext, *arguments: object, **options: object) -> None:
        (folder / f"{NAMES[0]}.pem").touch()
        load(context, *arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ssl.SSLContext, "load_cert_chain", load_late)
        with pytest.raises(CertificateError, match="changed while it was read"):
            tls.reload(NOW)
    assert Connection(tls.context("1.2"), client_context(VERSIONS[3])).serial == old
    assert tls.has_changed()
    tls.reload(NOW)


def test_what_was_loaded_is_logged(
    folder: Path, authority: Authority, logged: Callable[[], list[dict[str, str]]]
) -> None:
    authority.issue(folder, NAMES[1], days=-400)
    server_tls(folder)
    events = logged()
    assert [event["event"] for event in events] == ["certificate-loaded"] * 3
    assert [Path(event["file"]).name for event in events] == [f"{name}.pem" for name in NAMES]
    assert [event["names"] for event in events] == ["mail.example.com", "mail.example.org", "*.example.org"]
    end = datetime.strptime(events[0]["not_after"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(days=364) < end - NOW < timedelta(days=366)
    assert [event.get("warning", "")[:10] for event in events] == ["", "expired at", ""]


def test_where_nobody_speaks_tls_no_file_is_read(tmp_path: Path) -> None:
    tls = ServerTls(Tls(certificate=tmp_path / "none.pem", key=tmp_path / "none.key"), (), NOW)
    assert not tls.has_changed()


def test_a_certificate_for_several_names_is_held_once(folder: Path) -> None:
    certificate, key = folder / f"{NAMES[0]}.pem", folder / f"{NAMES[0]}.key"
    sni = tuple(Sni(name=f"{number}.example.net", certificate=certificate, key=key) for number in range(3))
    front = ServerTls(Tls(certificate=certificate, key=key, sni=sni), ("1.2",), NOW).context("1.2")
    names = (None, "0.example.net", "2.example.net")
    contexts = {Connection(front, client_context(VERSIONS[3]), name).server.context for name in names}
    assert len(contexts) == 1


def test_what_openssl_refuses(folder: Path) -> None:
    with pytest.raises(CertificateError, match=r'mail.example.com.pem" is refused by OpenSSL: \S'):
        make_context("1.2", folder / f"{NAMES[0]}.pem", folder / f"{NAMES[1]}.key")
    with pytest.raises(CertificateError, match="No such file"):
        make_context("1.2", folder / f"{NAMES[0]}.pem", folder / "none.key")


@pytest.mark.parametrize("loop_factory", LOOPS.values(), ids=LOOPS)
def test_both_event_loops_take_the_certificate_that_was_chosen(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], folder: Path, authority: Authority
) -> None:
    tls = server_tls(folder)

    async def connect(port: int, version: ssl.TLSVersion, name: str) -> int:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(version), server_hostname=name
        )
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert await reader.read() == bytes(CBindData.from_der(der))
        writer.close()
        return x509.load_der_x509_certificate(der).serial_number

    def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(served_end_point(writer.get_extra_info("ssl_object")) or b"")
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=tls.context("1.0"))
        async with server:
            port = server.sockets[0].getsockname()[1]
            for version in VERSIONS:
                for name in NAMES[:2]:
                    assert await connect(port, version, name) == serial(folder, name)
                    new = authority.issue(folder, name)
                    tls.reload(NOW)
                    assert await connect(port, version, name) == new

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())


# Certificates of clients

NEW_VERSIONS = VERSIONS[2:]


@pytest.fixture
def clients(folder: Path) -> ClientAuthority:
    authority = ClientAuthority()
    put(folder / "clients.pem", authority.pem)
    return authority


def shown(connection: Connection) -> str:
    """The subject of the certificate that the service has of a client; empty where it has none."""
    data = connection.server.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(data).subject.rfc4514_string() if data else ""


@pytest.mark.parametrize("version", NEW_VERSIONS)
@pytest.mark.parametrize("name", [None, *NAMES[:2]])
def test_a_client_may_show_a_certificate(
    folder: Path, clients: ClientAuthority, version: ssl.TLSVersion, name: str | None
) -> None:
    front = server_tls(folder, client_ca=folder / "clients.pem").context("1.0")
    client = client_context(version)
    assert shown(Connection(front, client, name)) == ""
    client.load_cert_chain(clients.issue(folder / "alice.pem"))
    assert shown(Connection(front, client, name)) == "CN=Alice,O=Example"
    assert shown(Connection(server_tls(folder).context("1.0"), client, name)) == ""  # nobody asks for it


@pytest.mark.parametrize("version", NEW_VERSIONS)
@pytest.mark.parametrize("fault", ["issuer", "expired", "not yet", "for servers"])
def test_a_certificate_that_is_not_good_ends_the_handshake(
    folder: Path, clients: ClientAuthority, version: ssl.TLSVersion, fault: str
) -> None:
    front = server_tls(folder, client_ca=folder / "clients.pem").context("1.2")
    file = folder / "alice.pem"
    if fault == "issuer":
        ClientAuthority().issue(file)
    elif fault == "for servers":
        clients.issue(file, usage=x509.ExtendedKeyUsageOID.SERVER_AUTH)
    else:
        clients.issue(file, days=-40 if fault == "expired" else 2)
    client = client_context(version)
    client.load_cert_chain(file)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        Connection(front, client)


def test_a_certificate_is_not_resumed_for_ever(folder: Path, clients: ClientAuthority) -> None:
    """A session resumed by its ticket brings the certificate along, though nobody has looked at it again."""
    front = server_tls(folder, client_ca=folder / "clients.pem").context("1.2")
    file = clients.issue(folder / "alice.pem")
    new = client_context(ssl.TLSVersion.TLSv1_3)
    new.load_cert_chain(file)
    first = Connection(front, new)
    assert not first.client.session or not first.client.session.has_ticket
    old = client_context(ssl.TLSVersion.TLSv1_2)
    old.load_cert_chain(file)
    before = Connection(front, old).client.session
    assert before is not None
    assert before.ticket_lifetime_hint <= 7200
    again = Connection(front, old, session=before)
    assert again.client.session_reused
    assert shown(again) == "CN=Alice,O=Example"
    after = again.client.session
    assert after is not None
    assert after.time == before.time


def test_a_certificate_is_not_resumed_under_other_authorities(folder: Path, clients: ClientAuthority) -> None:
    """Regression: one of an authority that was taken out went on for two hours, reloads or not."""
    tls = server_tls(folder, client_ca=folder / "clients.pem")
    client = client_context(ssl.TLSVersion.TLSv1_2)
    client.load_cert_chain(clients.issue(folder / "alice.pem"))
    before = Connection(tls.context("1.2"), client).client.session
    tls.reload(NOW)
    assert Connection(tls.context("1.2"), client, session=before).client.session_reused
    put(folder / "clients.pem", ClientAuthority().pem)
    tls.reload(NOW)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        Connection(tls.context("1.2"), client, session=before)


def test_other_authorities_are_taken_as_renewed_certificates_are(folder: Path, clients: ClientAuthority) -> None:
    tls = server_tls(folder, client_ca=folder / "clients.pem")
    front, client = tls.context("1.2"), client_context(ssl.TLSVersion.TLSv1_3)
    client.load_cert_chain(clients.issue(folder / "alice.pem"))
    others = ClientAuthority()
    put(folder / "clients.pem", others.pem)
    assert tls.has_changed()
    tls.reload(NOW)
    with pytest.raises(ssl.SSLError):
        Connection(front, client)
    client.load_cert_chain(others.issue(folder / "alice.pem"))
    assert shown(Connection(front, client)) == "CN=Alice,O=Example"
    for nonsense in (b"", b"no certificate"):
        put(folder / "clients.pem", nonsense)
        with pytest.raises(CertificateError, match="must be certificates of authorities in PEM format"):
            tls.reload(NOW)
    (folder / "clients.pem").unlink()
    with pytest.raises(CertificateError, match="No such file"):
        tls.reload(NOW)
    assert shown(Connection(front, client)) == "CN=Alice,O=Example"
