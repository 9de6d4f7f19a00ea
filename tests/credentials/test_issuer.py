import asyncio
import base64
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws, jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from submission.config.vouchers import OAuth
from submission.credentials import issuer as module
from submission.credentials.issuer import MAX_AGE, RETRY, SigningIssuer, open_issuer, read_keys, read_secret
from submission.credentials.tokens import Issuer as IssuerProtocol
from submission.credentials.tokens import IssuerUnavailableError, TokenRefusedError
from tests.support.issuer import CLIENT_ID, SECRET, Handler, Issuer, claims

ISSUER = "https://id.example.com"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


class Clock:
    """Time as the issuer's keys see it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def signing(issuer: Issuer) -> IssuerProtocol:
    return open_issuer(OAuth(issuer=issuer.url, jwks=issuer.jwks))


async def refusal(asked: IssuerProtocol, token: str) -> str:
    with pytest.raises(TokenRefusedError) as caught:
        await asked.claims(token)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


# Tokens that are signed


async def test_a_signed_token(issuer: Issuer) -> None:
    asked = signing(issuer)
    assert (await asked.claims(issuer.token()))["sub"] == "alice"
    assert (await asked.claims(issuer.token(sub="bob")))["sub"] == "bob"
    assert issuer.requests == ["/keys"]


KEYS: dict[str, Callable[[], Key]] = {
    "RS256": lambda: RSAKey.generate_key(2048),
    "RS512": lambda: RSAKey.generate_key(2048),
    "PS256": lambda: RSAKey.generate_key(2048),
    "ES256": lambda: ECKey.generate_key("P-256"),
    "ES384": lambda: ECKey.generate_key("P-384"),
    "ES512": lambda: ECKey.generate_key("P-521"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
    "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
}


def sign(key: Key, algorithm: str, **header: object) -> str:
    with warnings.catch_warnings(action="ignore"):
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        return jwt.encode({"alg": algorithm, "kid": "it", **header}, claims(ISSUER), key, registry=registry)


def keep(folder: Path, *keys: dict[str, object]) -> SigningIssuer:
    """An issuer whose keys are in a file."""
    (folder / "keys.json").write_text(json.dumps({"keys": keys}))
    asked = open_issuer(OAuth(issuer=ISSUER, jwks=str(folder / "keys.json")))
    assert isinstance(asked, SigningIssuer)
    return asked


def public(key: Key, **changes: object) -> dict[str, object]:
    return {**key.as_dict(private=False), "kid": "it", **changes}


@pytest.mark.parametrize("algorithm", KEYS)
async def test_algorithms(tmp_path: Path, algorithm: str) -> None:
    key = KEYS[algorithm]()
    asked = keep(tmp_path, public(key))
    token = sign(key, algorithm)
    assert (await asked.claims(token))["sub"] == "alice"
    head, body, signature = token.split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims(ISSUER, sub="bob")).encode()).rstrip(b"=").decode()
    assert await refusal(asked, f"{head}.{other}.{signature}") == "token-with-bad-signature"
    assert await refusal(asked, f"{head}.{body}.{signature[:-8]}") == "token-with-bad-signature"
    assert await refusal(asked, f"{head}.{body}.") == "token-with-bad-signature"
    assert await refusal(asked, sign(KEYS[algorithm](), algorithm)) == "token-with-bad-signature"


async def test_header_fields_that_nobody_knows_are_overlooked(tmp_path: Path) -> None:
    key = KEYS["ES256"]()
    token = sign(key, "ES256", typ="at+jwt", nonce="x", x5t="abc")
    assert (await keep(tmp_path, public(key)).claims(token))["sub"] == "alice"


async def test_what_the_token_says_of_its_signature_is_not_believed(tmp_path: Path) -> None:
    rsa, ec = KEYS["RS256"](), KEYS["ES256"]()
    asked = keep(tmp_path, public(rsa))
    body = base64.urlsafe_b64encode(json.dumps(claims(ISSUER)).encode()).rstrip(b"=").decode()
    for algorithm in ("none", "None", "NONE", "", 7, None, ["RS256"], "ES256K", "dir"):
        header = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": "it"}).encode()).rstrip(b"=").decode()
        assert await refusal(asked, f"{header}.{body}.") == "malformed-token"
    for secret in (rsa.as_pem(private=False), rsa.as_der(private=False), json.dumps(public(rsa)).encode(), b"secret"):
        with warnings.catch_warnings(action="ignore"):
            forged = sign(OctKey.import_key(base64.urlsafe_b64encode(secret).decode()), "HS256")
        assert await refusal(asked, forged) == "malformed-token"
    assert await refusal(asked, sign(ec, "ES256")) == "malformed-token"
    mine = ec.as_dict(private=False)
    for header in ({"jwk": mine}, {"jku": "https://mallory.example.com/keys"}, {"crit": ["b64"], "b64": False}):
        forged = sign(ec, "ES256", **header) if "crit" not in header else ""
        assert await refusal(asked, forged) in ("malformed-token", "token-with-bad-signature")


@pytest.mark.parametrize(
    "changes", [{"use": "enc"}, {"alg": "RS512"}, {"key_ops": ["encrypt"]}, {"key_ops": []}, {"key_ops": 7}, {"use": 7}]
)
async def test_a_key_is_good_for_what_it_says(tmp_path: Path, changes: dict[str, object]) -> None:
    key = KEYS["RS256"]()
    asked = keep(tmp_path, public(key, **changes), public(KEYS["ES256"](), kid="other"))
    assert await refusal(asked, sign(key, "RS256")) in ("malformed-token", "token-of-unknown-key")


async def test_keys_that_are_none_are_overlooked(tmp_path: Path) -> None:
    modulus = base64.urlsafe_b64encode(b"\xc5" * 127 + b"\x01").decode()
    weak = {"kty": "RSA", "kid": "weak", "e": "AQAB", "n": modulus}
    good = KEYS["ES256"]()
    others: list[object] = [weak, {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"}, {"kty": "XYZ"}, {}, [], 7, "x", None]
    others += [{"kty": "EC", "crv": "P-256"}, {"kty": ["EC"]}, public(good, kid=["it"]), public(good, x="AA")]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [*others, public(good)]}))
    assert list(read_keys(tmp_path / "keys.json")) == ["it"]


async def test_a_token_without_a_key_name_needs_a_single_key(tmp_path: Path) -> None:
    first, second = KEYS["ES256"](), KEYS["ES256"]()
    token = jwt.encode({"alg": "ES256"}, claims(ISSUER), first)
    assert (await keep(tmp_path, public(first)).claims(token))["sub"] == "alice"
    nameless = {name: value for name, value in public(first).items() if name != "kid"}
    assert (await keep(tmp_path, nameless).claims(token))["sub"] == "alice"
    assert await refusal(keep(tmp_path, public(first), public(second, kid="x")), token) == "token-of-unknown-key"
    assert await refusal(keep(tmp_path, nameless), sign(first, "ES256")) == "token-of-unknown-key"


TOKENS = st.text(st.characters(codec="ascii"), max_size=80) | st.lists(
    st.sampled_from(
        [".", "e30", "eyJhbGciOiJFUzI1NiJ9", "eyJhbGciOiJFUzI1NiIsImtpZCI6Iml0In0", "bnVsbA", "W10", "\xff"]
    ),
    max_size=6,
).map("".join)
KEY = ECKey.generate_key("P-256")


@given(TOKENS)
async def test_no_text_raises_and_none_is_a_token(text: str) -> None:
    async def load() -> dict[str | None, Key]:
        return {"it": KEY}

    with pytest.raises(TokenRefusedError):
        await SigningIssuer(load).claims(text)


@pytest.mark.parametrize("part", ["[" * 9000, '{"alg":' * 1200, '{"alg":"ES256","kid":"it","x":' + "9" * 5000 + "}"])
async def test_json_that_is_too_deep_or_too_long(part: str) -> None:
    async def load() -> dict[str | None, Key]:
        return {"it": KEY}

    encoded = base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode()
    assert await refusal(SigningIssuer(load), f"{encoded}.{encoded}.AAAA") == "malformed-token"


# The issuer's keys


async def test_a_new_key_is_asked_for_at_once_and_then_once_a_minute(issuer: Issuer, clock: Clock) -> None:
    asked = signing(issuer)
    old = issuer.token()
    await asked.claims(old)
    issuer.rotate("second")
    new = issuer.token()
    assert await refusal(asked, new) == "token-of-unknown-key"
    clock.now += RETRY + 1
    assert (await asked.claims(new))["sub"] == "alice"
    assert await refusal(asked, old) == "token-of-unknown-key"
    assert issuer.requests == ["/keys"] * 2


async def test_a_key_that_is_withdrawn_is_soon_refused(issuer: Issuer, clock: Clock) -> None:
    asked = signing(issuer)
    token = issuer.token()
    await asked.claims(token)
    issuer.rotate("second")
    clock.now += MAX_AGE - 1
    await asked.claims(token)
    clock.now += 2
    assert await refusal(asked, token) == "token-of-unknown-key"


async def test_while_the_issuer_is_out_of_order_its_keys_go_on(
    issuer: Issuer, clock: Clock, logged: Callable[[], list[dict[str, object]]]
) -> None:
    asked = signing(issuer)
    token = issuer.token()
    await asked.claims(token)
    issuer.misbehave = lambda handler: handler.answer(500)
    for _ in range(3):
        clock.now += MAX_AGE + 1
        assert (await asked.claims(token))["sub"] == "alice"
    issuer.rotate("second")
    for _ in range(3):
        with pytest.raises(IssuerUnavailableError, match="500"):
            await asked.claims(issuer.token())
    assert len(issuer.requests) == 4
    assert [line["event"] for line in logged()] == ["issuer-unavailable"] * 3
    issuer.misbehave = None
    clock.now += RETRY + 1
    assert (await asked.claims(issuer.token()))["sub"] == "alice"


async def test_an_issuer_that_never_answered(issuer: Issuer, clock: Clock) -> None:
    issuer.misbehave = lambda handler: handler.answer(200, b"[]")
    asked = signing(issuer)
    for _ in range(3):
        with pytest.raises(IssuerUnavailableError, match="is not a JSON object"):
            await asked.claims(issuer.token())
    assert len(issuer.requests) == 1
    assert await refusal(asked, "no token") == "malformed-token"


async def test_many_who_come_at_once_ask_once(issuer: Issuer) -> None:
    asked, token = signing(issuer), issuer.token()
    assert len(await asyncio.gather(*(asked.claims(token) for _ in range(20)))) == 20
    assert issuer.requests == ["/keys"]


# Files


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"keys": []}', '{"keys": 7}', '{"keys": [{"kty": "oct"}]}', "[" * 9000]
)
def test_files_that_hold_no_keys(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(IssuerUnavailableError, match=str(file)):
        read_keys(file)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name in ("missing", "."):
        with pytest.raises(IssuerUnavailableError, match=str(tmp_path)):
            read_keys(tmp_path / name)
    (tmp_path / "huge").write_bytes(b" " * (module.MAX_ANSWER + 1))
    with pytest.raises(IssuerUnavailableError, match="is larger than"):
        read_keys(tmp_path / "huge")


def test_secrets(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    for text in (SECRET, SECRET + "\n"):
        file.write_text(text)
        assert read_secret(file) == SECRET
    for data in (b"", b"\n", b"a\nb\n", b"a\r\n", b"\xff", b"x" * (module.MAX_SECRET + 1)):
        file.write_bytes(data)
        with pytest.raises(IssuerUnavailableError) as caught:
            read_secret(file)
        assert "a\nb" not in str(caught.value)


# Tokens that the issuer is asked about


@pytest.fixture
def asked(issuer: Issuer, tmp_path: Path) -> IssuerProtocol:
    (tmp_path / "secret").write_text(SECRET)
    return open_issuer(
        OAuth(
            issuer=issuer.url,
            introspection=issuer.introspection,
            client_id=CLIENT_ID,
            client_secret_file=tmp_path / "secret",
        )
    )


async def test_an_active_token(issuer: Issuer, asked: IssuerProtocol) -> None:
    issuer.known["opaque"] = {"active": True, "sub": "alice"}
    found = await asked.claims("opaque")
    assert (found["iss"], found["sub"]) == (issuer.url, "alice")
    issuer.known["opaque"] = {"active": True, "iss": "https://another.example.com", "exp": 7}
    found = await asked.claims("opaque")
    assert (found["iss"], found["exp"]) == ("https://another.example.com", 7)
    assert issuer.requests == ["/introspect"] * 2


@pytest.mark.parametrize("answer", [{"active": False}, {}, {"active": "true"}, {"active": 1, "sub": "alice"}])
async def test_a_token_that_is_not_active(issuer: Issuer, asked: IssuerProtocol, answer: dict[str, object]) -> None:
    issuer.known["opaque"] = answer
    assert await refusal(asked, "opaque") == "token-not-active"


async def test_who_cannot_be_asked(
    issuer: Issuer, asked: IssuerProtocol, tmp_path: Path, logged: Callable[[], list[dict[str, object]]]
) -> None:
    def answer_nonsense(handler: Handler) -> None:
        handler.answer(200, b"<html>")

    issuer.misbehave = answer_nonsense
    with pytest.raises(IssuerUnavailableError, match="is not a JSON object"):
        await asked.claims("opaque-token")
    issuer.misbehave = None
    (tmp_path / "secret").write_text("another")
    with pytest.raises(IssuerUnavailableError, match="answers with status 401"):
        await asked.claims("opaque-token")
    (tmp_path / "secret").unlink()
    with pytest.raises(IssuerUnavailableError, match="No such file"):
        await asked.claims("opaque-token")
    lines = logged()
    assert [line["event"] for line in lines] == ["issuer-unavailable"] * 3
    assert not any(secret in str(lines) for secret in ("opaque-token", SECRET, "another"))
