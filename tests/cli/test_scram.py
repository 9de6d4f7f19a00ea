"""The demo's client against our own machines, which other people's clients try too."""

import pytest

from submission.cli.scram import ScramClient
from submission.core.sasl import Challenge, Channel, Failure, FetchKeys, Step, Success
from submission.core.sasl.registry import MECHANISMS
from submission.core.sasl.scram_keys import ScramKeys

END_POINT = bytes(range(32))
NAMES = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"]


def run(name: str, password: str = "tanstaaf", end_point: bytes = END_POINT, server_key: bytes | None = None) -> Step:
    """How an exchange of somebody ends whose password is "tanstaaf"."""
    mechanism = MECHANISMS[name](Channel(b"nonce", end_point=END_POINT))
    client = ScramClient(name, "alice", password, end_point)
    step: Step = mechanism.start(client().encode())
    assert isinstance(step, FetchKeys)
    keys = ScramKeys.derive(b"tanstaaf", step.need, b"salt", 4096)
    step = mechanism.resolve(ScramKeys(keys.salt, keys.iterations, keys.stored_key, server_key or keys.server_key))
    while isinstance(step, Challenge):
        step = mechanism.respond(client(step.data).encode())
    return step


@pytest.mark.parametrize("name", NAMES)
def test_who_knows_the_password_gets_in(name: str) -> None:
    assert run(name) == Success("alice")
    assert isinstance(run(name, password="another"), Failure)


@pytest.mark.parametrize("name", NAMES[::2])
def test_who_saw_another_certificate_does_not(name: str) -> None:
    assert isinstance(run(name, end_point=bytes(32)), Failure)


@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_does_not_know_the_password_is_not_believed(name: str) -> None:
    with pytest.raises(ValueError, match="the server doesn't know the password"):
        run(name, server_key=b"another")
