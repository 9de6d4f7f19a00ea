import asyncio
import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.config.vouchers import OAuth
from submission.credentials.tokens import (
    LEEWAY,
    MAX_WAITING,
    Claims,
    IssuerUnavailableError,
    TokenRefusedError,
    TokenVerifier,
    user_of,
)

NOW = 1_795_234_567.0
ISSUER = "https://id.example.com"
SETTINGS = OAuth(issuer=ISSUER, audience=("mail", "submission"))
GOOD: Mapping[str, object] = {"iss": ISSUER, "aud": "mail", "exp": NOW + 60, "sub": "alice"}


def claims(**changes: object) -> dict[str, object]:
    return {name: value for name, value in {**GOOD, **changes}.items() if value is not None}


def refusal(claims: Claims, settings: OAuth = SETTINGS) -> str:
    with pytest.raises(TokenRefusedError) as caught:
        user_of(claims, settings, NOW)
    return str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": ["other", "submission"]},
        {"aud": ["mail", 7]},
        {"exp": NOW - LEEWAY + 1},
        {"exp": int(NOW) + 10**20},
        {"nbf": NOW + LEEWAY},
        {"nbf": 0},
        {"iat": "whenever"},
        {"scope": "openid"},
    ],
)
def test_good_claims(changes: dict[str, object]) -> None:
    assert user_of(claims(**changes), SETTINGS, NOW) == "alice"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": None}, "token-of-another-issuer"),
        ({"iss": ISSUER + "/"}, "token-of-another-issuer"),
        ({"iss": [ISSUER]}, "token-of-another-issuer"),
        ({"aud": None}, "token-for-another-audience"),
        ({"aud": "mails"}, "token-for-another-audience"),
        ({"aud": "mail submission"}, "token-for-another-audience"),
        ({"aud": []}, "token-for-another-audience"),
        ({"aud": {"mail": 1}}, "token-for-another-audience"),
        ({"exp": None}, "token-expired"),
        ({"exp": NOW - LEEWAY}, "token-expired"),
        ({"exp": 0}, "token-expired"),
        ({"exp": str(NOW + 60)}, "token-expired"),
        ({"exp": True}, "token-expired"),
        ({"exp": math.nan}, "token-expired"),
        ({"nbf": NOW + LEEWAY + 1}, "token-not-yet-good"),
        ({"nbf": "0"}, "token-not-yet-good"),
        ({"nbf": math.nan}, "token-not-yet-good"),
        ({"cnf": {"jkt": "x"}}, "token-is-bound"),
        ({"sub": None}, "token-without-user"),
        ({"sub": 7}, "token-without-user"),
        ({"sub": ["alice"]}, "token-without-user"),
    ],
)
def test_claims_that_are_not_good(changes: dict[str, object], reason: str) -> None:
    assert refusal(claims(**changes)) == reason


def test_scopes() -> None:
    settings = SETTINGS.model_copy(update={"scope": "mail send"})
    assert user_of(claims(scope="send openid mail"), settings, NOW) == "alice"
    for scope in (None, "mail", "mails send", "mail,send", ["mail", "send"], "MAIL SEND"):
        assert refusal(claims(scope=scope), settings) == "token-without-scope"


def test_another_claim_may_name_the_user() -> None:
    settings = SETTINGS.model_copy(update={"user_claim": "preferred_username"})
    assert user_of(claims(preferred_username="bob"), settings, NOW) == "bob"
    assert refusal(claims(), settings) == "token-without-user"


def test_an_address_has_to_be_verified() -> None:
    settings = SETTINGS.model_copy(update={"user_claim": "email"})
    for verified in (True, "true"):
        assert user_of(claims(email="alice@example.com", email_verified=verified), settings, NOW) == "alice@example.com"
    for unverified in (None, False, "false", 1, "yes"):
        answer = refusal(claims(email="alice@example.com", email_verified=unverified), settings)
        assert answer == "token-with-unverified-email"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "scope", "cnf"]), JSON))
def test_claims_of_any_type_are_good_or_refused(changes: dict[str, object]) -> None:
    settings = SETTINGS.model_copy(update={"scope": "mail"})
    try:
        user = user_of({**GOOD, "scope": "mail", **changes}, settings, NOW)
    except TokenRefusedError:
        assert changes
    else:
        assert user == "alice"
        assert {"iss", "cnf", "scope"}.isdisjoint(changes)


class SlowIssuer:
    """One that answers when it is told to."""

    def __init__(self) -> None:
        self.is_ready = asyncio.Event()
        self.asked = 0

    async def claims(self, token: str) -> Claims:
        self.asked += 1
        await self.is_ready.wait()
        return claims(sub=token)


async def test_no_more_than_so_many_wait() -> None:
    issuer = SlowIssuer()
    verifier = TokenVerifier(SETTINGS, issuer, lambda: NOW)
    waiting = [asyncio.ensure_future(verifier.user("alice")) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(IssuerUnavailableError, match="too many"):
        await verifier.user("bob")
    issuer.is_ready.set()
    assert await asyncio.gather(*waiting) == ["alice"] * MAX_WAITING
    assert await verifier.user("bob") == "bob"
    assert issuer.asked == MAX_WAITING + 1
