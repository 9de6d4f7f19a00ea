import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scramp import ScramClient, ScramException

from submission.core.sasl import (
    AUTHZID_REFUSED,
    BAD_CREDENTIALS,
    BINDING_REFUSED,
    MALFORMED,
    Challenge,
    Channel,
    Failure,
    FetchKeys,
    Need,
    Step,
    Success,
)
from submission.core.sasl.registry import MECHANISMS
from submission.core.sasl.scram import ScramMechanism
from submission.core.sasl.scram_keys import ScramKeys

NAMES = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"]
END_POINT = hashlib.sha256(b"a certificate").digest()
BINDING = ("tls-server-end-point", END_POINT)
CHANNEL = Channel(b"0123.179@mail.example.com", "example.com", END_POINT, offers_binding=True)
PASSWORD = "p\u00e4ss, w=rd"
SALT = b"0123456789abcdef"
KEYS = {need: ScramKeys.derive(PASSWORD.encode(), need, SALT, 4096) for need in (Need.SCRAM_SHA_256, Need.SCRAM_SHA_1)}


def machine(name: str = "SCRAM-SHA-256", channel: Channel = CHANNEL) -> ScramMechanism:
    made = MECHANISMS[name](channel)
    assert isinstance(made, ScramMechanism)
    return made


# The examples of the RFCs


def test_example_of_rfc_5802() -> None:
    mechanism = machine("SCRAM-SHA-1", Channel(b"3rfcNHYJY1ZVvWVs7j"))
    assert mechanism.start(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL") == FetchKeys("user", Need.SCRAM_SHA_1)
    keys = ScramKeys.derive(b"pencil", Need.SCRAM_SHA_1, base64.b64decode("QSXCR+Q6sek8bf92"), 4096)
    assert mechanism.resolve(keys) == Challenge(
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
    )
    final = b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    assert mechanism.respond(final) == Challenge(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")
    assert mechanism.respond(b"") == Success("user")


def test_example_of_rfc_7677() -> None:
    mechanism = machine("SCRAM-SHA-256", Channel(b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"))
    assert mechanism.start(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == FetchKeys("user", Need.SCRAM_SHA_256)
    keys = ScramKeys.derive(b"pencil", Need.SCRAM_SHA_256, base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    nonce = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    assert mechanism.resolve(keys) == Challenge(nonce + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    final = b"c=biws," + nonce + b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert mechanism.respond(final) == Challenge(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
    assert mechanism.respond(b"") == Success("user")


# Another implementation as the client


class Client:
    """scramp, and what it and the machine said to each other."""

    def __init__(self, name: str, user: str = "alice", password: str = PASSWORD, binding: object = BINDING) -> None:
        self._scramp = ScramClient([name], user, password, channel_binding=binding if "PLUS" in name else None)

    def first(self) -> bytes:
        return str(self._scramp.get_client_first()).encode()

    def final(self, challenge: Step) -> bytes:
        assert isinstance(challenge, Challenge)
        self._scramp.set_server_first(challenge.data.decode())
        return str(self._scramp.get_client_final()).encode()

    def believes(self, challenge: Step) -> bool:
        """Whether the server has proved that it knows the password."""
        assert isinstance(challenge, Challenge)
        try:
            self._scramp.set_server_final(challenge.data.decode())
        except ScramException:
            return False
        return True


def challenged(name: str, client: Client, channel: Channel = CHANNEL) -> tuple[ScramMechanism, Step]:
    """A machine that waits for client-final, and its server-first."""
    mechanism = machine(name, channel)
    asked = mechanism.start(client.first())
    assert isinstance(asked, FetchKeys)
    return mechanism, mechanism.resolve(KEYS[asked.need])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("user", ["alice", "alice@example.com", "a,li=ce", "=2C", "\u00e4lice"])
def test_who_knows_the_password_gets_in_and_believes_us(name: str, user: str) -> None:
    client = Client(name, user)
    mechanism, challenge = challenged(name, client)
    last = mechanism.respond(client.final(challenge))
    assert client.believes(last)
    assert mechanism.respond(b"") == Success(user)
    assert mechanism.respond(b"") == Failure(MALFORMED, user)


@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_has_other_keys_is_not_believed(name: str) -> None:
    client = Client(name)
    mechanism = machine(name)
    asked = mechanism.start(client.first())
    assert isinstance(asked, FetchKeys)
    keys = KEYS[asked.need]
    other = ScramKeys(keys.salt, keys.iterations, keys.stored_key, bytes(len(keys.server_key)))
    assert not client.believes(mechanism.respond(client.final(mechanism.resolve(other))))


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_password_fails_and_so_does_the_right_one_behind_it(name: str) -> None:
    client = Client(name, password="another")
    mechanism, challenge = challenged(name, client)
    final = client.final(challenge)
    assert mechanism.respond(final) == Failure(BAD_CREDENTIALS, "alice")
    assert mechanism.respond(final) == Failure(MALFORMED, "alice")
    assert mechanism.respond(b"") == Failure(MALFORMED, "alice")


@pytest.mark.parametrize("name", NAMES)
def test_there_may_be_no_initial_response(name: str) -> None:
    mechanism = machine(name)
    assert mechanism.start(None) == Challenge(b"")
    assert isinstance(mechanism.respond(Client(name).first()), FetchKeys)


@pytest.mark.parametrize("last", [b"\0", b"v=", b"*", b"=", b"\r\n"])
def test_server_final_is_answered_by_nothing(last: bytes) -> None:
    client = Client("SCRAM-SHA-256")
    mechanism, challenge = challenged("SCRAM-SHA-256", client)
    assert isinstance(mechanism.respond(client.final(challenge)), Challenge)
    assert mechanism.respond(last) == Failure(MALFORMED, "alice")
    assert mechanism.respond(b"") == Failure(MALFORMED, "alice")


@given(place=st.integers(0, 10_000), octet=st.integers(0, 255))
def test_no_octet_of_client_final_may_change(place: int, octet: int) -> None:
    client = Client("SCRAM-SHA-256-PLUS")
    mechanism, challenge = challenged("SCRAM-SHA-256-PLUS", client)
    final = bytearray(client.final(challenge))
    place %= len(final)
    is_same = final[place] == octet
    final[place] = octet
    assert isinstance(mechanism.respond(bytes(final)), Challenge) is is_same


@given(place=st.integers(0, 10_000), octet=st.integers(0, 255))
def test_no_octet_of_client_first_may_be_another_than_the_client_proves(place: int, octet: int) -> None:
    client = Client("SCRAM-SHA-256-PLUS")
    first = bytearray(client.first())
    place %= len(first)
    is_same = first[place] == octet
    first[place] = octet
    mechanism = machine("SCRAM-SHA-256-PLUS")
    step = mechanism.start(bytes(first))
    if isinstance(step, FetchKeys):
        try:
            step = mechanism.respond(client.final(mechanism.resolve(KEYS[step.need])))
        except ScramException:  # the client sees that it isn't its nonce
            step = Failure("")
    assert isinstance(step, Challenge) is is_same


# Channel binding


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("SCRAM-SHA-256-PLUS", b"n,,"),
        ("SCRAM-SHA-256-PLUS", b"y,,"),
        ("SCRAM-SHA-256-PLUS", b"p=tls-unique,,"),
        ("SCRAM-SHA-256-PLUS", b"p=tls-exporter,,"),
        ("SCRAM-SHA-256-PLUS", b"p=TLS-SERVER-END-POINT,,"),
        ("SCRAM-SHA-256", b"p=tls-server-end-point,,"),
        ("SCRAM-SHA-256", b"y,,"),  # we did offer it: somebody in the middle took it away
    ],
)
def test_another_binding_than_the_mechanism_s_is_refused(name: str, header: bytes) -> None:
    mechanism = machine(name)
    assert mechanism.start(header + b"n=alice,r=nonce") == Failure(BINDING_REFUSED, "alice")
    assert mechanism.resolve(KEYS[Need.SCRAM_SHA_256]) == Failure(MALFORMED, "alice")


def test_a_client_that_could_bind_does_without_where_we_did_not_offer_it() -> None:
    asked = machine("SCRAM-SHA-256", Channel(b"nonce")).start(b"y,,n=alice,r=nonce")
    assert asked == FetchKeys("alice", Need.SCRAM_SHA_256)


def test_without_an_end_point_of_our_own_nobody_is_bound() -> None:
    step = machine("SCRAM-SHA-256-PLUS", Channel(b"nonce")).start(b"p=tls-server-end-point,,n=alice,r=nonce")
    assert step == Failure(BINDING_REFUSED, "alice")
    step = machine("SCRAM-SHA-256", Channel(b"nonce")).start(b"p=tls-server-end-point,,n=alice,r=nonce")
    assert step == Failure(BINDING_REFUSED, "alice")


@pytest.mark.parametrize("other", [b"", hashlib.sha256(b"another certificate").digest(), END_POINT[:-1]])
def test_who_saw_another_certificate_is_refused(other: bytes) -> None:
    client = Client("SCRAM-SHA-256-PLUS", binding=("tls-server-end-point", other or b"\0"))
    mechanism, challenge = challenged("SCRAM-SHA-256-PLUS", client)
    assert mechanism.respond(client.final(challenge)) == Failure(BINDING_REFUSED, "alice")


def test_the_header_that_is_proved_is_the_one_that_was_sent() -> None:
    """A header that was changed on its way from `y` to `n` is found out, though the proof is right."""
    client = ScramClient(["SCRAM-SHA-256"], "alice", PASSWORD, channel_binding=BINDING)
    first = client.get_client_first()
    assert first.startswith("y,,")
    mechanism = machine()
    mechanism.start(b"n" + first[1:].encode())
    challenge = mechanism.resolve(KEYS[Need.SCRAM_SHA_256])
    assert isinstance(challenge, Challenge)
    client.set_server_first(challenge.data.decode())
    assert mechanism.respond(client.get_client_final().encode()) == Failure(BINDING_REFUSED, "alice")


# What is no message


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n",
        b"n,",
        b"n,,",
        b"n,n=alice,r=nonce",
        b",,n=alice,r=nonce",
        b"x,,n=alice,r=nonce",
        b"N,,n=alice,r=nonce",
        b"p=,,n=alice,r=nonce",
        b"n,alice,n=alice,r=nonce",
        b"n,a=,n=alice,r=nonce",
        b"n,,r=nonce,n=alice",
        b"n,,n=,r=nonce",
        b"n,,n=alice",
        b"n,,n=alice,r=",
        b"n,,n=alice,r=non ce",
        b"n,,n=alice,r=non\x7fce",
        b"n,,n=alice,r=nonce,",
        b"n,,n=alice,r=nonce\n",
        b"n,,n=alice,r=nonce,x",
        b"n,,n=al\0ice,r=nonce",
        b"n,,n=al\xffice,r=nonce",
        b"n,,n=al=ice,r=nonce",
        b"n,,n=al=2cice,r=nonce",
        b"n,,n=al=20ice,r=nonce",
        b"n,,n=alice=,r=nonce",
        b"n,,m=extension,n=alice,r=nonce",
        b"n,,n=alice,r=nonce,m=extension",
        b"n,,n=" + b"x" * 512 + b",r=nonce",
        b"n,,n=alice,r=" + b"x" * 1025,
        b"n,,n=alice,r=nonce" + b",x=y" * 9,
    ],
)
def test_what_is_no_client_first(first: bytes) -> None:
    mechanism = machine()
    assert mechanism.start(first) == Failure(MALFORMED)
    assert mechanism.respond(b"n,,n=alice,r=nonce") == Failure(MALFORMED)


def test_an_extension_is_ignored_and_proved() -> None:
    assert machine().start(b"n,,n=alice,r=nonce,x=y") == FetchKeys("alice", Need.SCRAM_SHA_256)


def test_an_authorization_identity_may_repeat_the_name_and_nothing_else() -> None:
    assert isinstance(machine().start(b"n,a=al=2Cice,n=al=2Cice,r=nonce"), FetchKeys)
    for other in (b"bob", b"Alice", b"alice@example.com", b"\xff", b"=", b"=00"):
        assert machine().start(b"n,a=" + other + b",n=alice,r=nonce") == Failure(AUTHZID_REFUSED, "alice")


NONCE = b"nonce" + CHANNEL.nonce
PROOF = base64.b64encode(bytes(32))


@pytest.mark.parametrize(
    ("final", "reason"),
    [
        (b"c=biws,r=" + NONCE + b",p=" + PROOF, BAD_CREDENTIALS),
        (b"c=biws,r=" + NONCE + b",x=y,p=" + PROOF, BAD_CREDENTIALS),
        (b"c=biws,r=" + NONCE + b",p=" + base64.b64encode(bytes(31)), BAD_CREDENTIALS),
        (b"c=biws,r=" + NONCE + b",p=" + base64.b64encode(bytes(33)), BAD_CREDENTIALS),
        (b"c=eSws,r=" + NONCE + b",p=" + PROOF, BINDING_REFUSED),
        (b"c=biwsAA==,r=" + NONCE + b",p=" + PROOF, BINDING_REFUSED),
        (b"c=!,r=" + NONCE + b",p=" + PROOF, MALFORMED),
        (b"c=biws,r=nonce,p=" + PROOF, MALFORMED),
        (b"c=biws,r=" + NONCE + b"x,p=" + PROOF, MALFORMED),
        (b"c=biws,r=" + NONCE[1:] + b",p=" + PROOF, MALFORMED),
        (b"c=biws,r=" + NONCE, MALFORMED),
        (b"c=biws,r=" + NONCE + b",p=", MALFORMED),
        (b"c=biws,r=" + NONCE + b",p=" + PROOF[:-1], MALFORMED),
        (b"c=biws,r=" + NONCE + b",p=" + PROOF + b",x=y", MALFORMED),
        (b"c=biws,r=" + NONCE + b",p=" + PROOF + b",p=" + PROOF, MALFORMED),
        (b"c=biws,r=" + NONCE + b",m=x,p=" + PROOF, MALFORMED),
        (b"r=" + NONCE + b",c=biws,p=" + PROOF, MALFORMED),
        (b"", MALFORMED),
    ],
)
def test_client_final_that_proves_nothing(final: bytes, reason: str) -> None:
    mechanism = machine()
    mechanism.start(b"n,,n=alice,r=nonce")
    mechanism.resolve(KEYS[Need.SCRAM_SHA_256])
    assert mechanism.respond(final) == Failure(reason, "alice")


@pytest.mark.parametrize("answer", [True, False, None, b"", b"tanstaaf"])
def test_another_answer_of_the_store_fails(answer: bool | bytes | None) -> None:
    mechanism = machine()
    mechanism.start(b"n,,n=alice,r=nonce")
    assert mechanism.resolve(answer) == Failure(MALFORMED, "alice")


def test_keys_count_once_and_only_after_a_question() -> None:
    keys = KEYS[Need.SCRAM_SHA_256]
    assert machine().resolve(keys) == Failure(MALFORMED)
    mechanism = machine()
    mechanism.start(b"n,,n=alice,r=nonce")
    mechanism.resolve(keys)
    assert mechanism.resolve(keys) == Failure(MALFORMED, "alice")


@given(st.binary(max_size=80))
def test_no_constant_proof_succeeds_with_keys_of_zeros(proof: bytes) -> None:
    """What stands for no keys before there are any must be no keys that anybody has."""
    mechanism = machine()
    final = b"c=biws,r=" + NONCE + b",p=" + base64.b64encode(proof)
    assert not isinstance(mechanism.respond(final), Challenge | Success)
