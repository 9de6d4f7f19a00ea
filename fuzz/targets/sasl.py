"""Whatever a client says in a SASL exchange, it gets in only by the secret, and as nobody but its owner.

The input's first octet chooses the mechanism, the second whether the client's login exists. Where it doesn't, no octets
succeed. Where it does, those of an honest client, which are among the seeds, succeed as alice, and none succeed as
anybody else. A machine never raises, and is over after a few steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuzz.input import Input
from fuzz.timing import bounded
from submission.core.sasl import (
    MAX_RESPONSE,
    Answer,
    Challenge,
    Channel,
    CheckPassword,
    Failure,
    FetchKeys,
    FetchSecret,
    Mechanism,
    Question,
    Step,
    Success,
)
from submission.core.sasl.registry import MECHANISMS, make_nonce
from submission.core.sasl.scram_keys import HASHES, ScramKeys
from tests.support import sasl_client

_NAMES = tuple(MECHANISMS)
_END_POINT = bytes(32)
_NONCE = make_nonce(bytes(range(16)), 1795234567.0, "mail.example.com")
_CHANNEL = Channel(_NONCE, "example.com", _END_POINT, offers_binding=True)
_BREAK = b"\xff\n"
"""Between two messages: no mechanism has these octets."""
_USER, _PASSWORD = "alice", "sesame"
_MAX_STEPS = 8
_KEYS = {need: ScramKeys.derive(_PASSWORD.encode(), need, b"0123456789abcdef", 4096) for need in HASHES}
_NOBODYS_KEYS = {need: ScramKeys.derive(b"nobody's", need, b"fedcba9876543210", 4096) for need in HASHES}


def seeds() -> Iterator[bytes]:
    """What an honest client says, to a server that knows its login and to one that doesn't."""
    for number, name in enumerate(_NAMES):
        for is_known in (1, 0):
            yield bytes([number, is_known]) + _BREAK.join(_honest(name))


def _honest(name: str) -> list[bytes]:
    first = "p=tls-server-end-point,," if name.endswith("-PLUS") else "n,,"
    first += f"n={_USER},r=fixed"
    match name:
        case "PLAIN":
            return [f"\0{_USER}\0{_PASSWORD}".encode()]
        case "LOGIN":
            return [_USER.encode(), _PASSWORD.encode()]
        case "CRAM-MD5":
            return [_answer(name, [], lambda challenge: sasl_client.cram_md5(challenge, _USER, _PASSWORD))]
        case "DIGEST-MD5":
            return [_answer(name, [], lambda challenge: sasl_client.digest_md5(challenge, _USER, _PASSWORD)), b""]
        case "EXTERNAL":
            return [_USER.encode()]
        case "OAUTHBEARER":
            return [f"n,a={_USER},\x01auth=Bearer {_PASSWORD}\x01\x01".encode()]
        case "XOAUTH2":
            return [f"user={_USER}\x01auth=Bearer {_PASSWORD}\x01\x01".encode()]
    hash_name = HASHES[MECHANISMS[name].NEED]
    end_point = _END_POINT if name.endswith("-PLUS") else b""

    def prove(challenge: str) -> str:
        return sasl_client.scram(challenge, first, _PASSWORD, hash_name, end_point)

    return [first.encode(), _answer(name, [first.encode()], prove), b""]


def _answer(name: str, before: list[bytes], answer: Callable[[str], str]) -> bytes:
    """What follows from the challenge that comes after these messages."""
    step = _converse(MECHANISMS[name](_CHANNEL), before, is_known=True)
    assert isinstance(step, Challenge), step
    return answer(step.data.decode()).encode()


def check(data: bytes) -> None:
    """Lead an exchange."""
    choice = Input(data)
    name = _NAMES[choice.number(len(_NAMES))]
    is_known = choice.number(2) == 1
    messages = [message[:MAX_RESPONSE] for message in choice.rest.split(_BREAK)]
    with bounded():
        step = _converse(MECHANISMS[name](_CHANNEL), messages, is_known=is_known)
    if isinstance(step, Success):
        assert is_known, f"{name}: succeeds without a secret"
        assert step.name in (_USER, ""), f"{name}: succeeds as {step.name!r}"


def _converse(mechanism: Mechanism, messages: list[bytes], *, is_known: bool) -> Step:
    """Where an exchange gets by these messages: its last step, or the challenge that they have no answer to."""
    waiting = list(messages)
    initial = waiting.pop(0) if waiting and mechanism.NAME not in ("LOGIN", "CRAM-MD5", "DIGEST-MD5") else None
    step = mechanism.start(initial)
    asked = ""
    for _ in range(_MAX_STEPS):
        if isinstance(step, Success | Failure):
            assert not isinstance(step, Success) or step.name == asked
            return step
        if isinstance(step, Question):
            asked = step.name
            step = mechanism.resolve(_resolve(step, is_known=is_known))
        elif waiting:
            step = mechanism.respond(waiting.pop(0))
        else:
            return step
    raise AssertionError(f"{mechanism.NAME}: never ends")


def _resolve(question: Question, *, is_known: bool) -> Answer:
    """What the store, or an issuer, says."""
    is_known = is_known and question.name in (_USER, "")
    match question:
        case CheckPassword():
            return is_known and question.password == _PASSWORD
        case FetchSecret():
            return _PASSWORD.encode() if is_known else None
        case FetchKeys():
            return (_KEYS if is_known else _NOBODYS_KEYS)[question.need]
    return is_known
