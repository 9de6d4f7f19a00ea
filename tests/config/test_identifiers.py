from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from submission.config.identifiers import (
    DistinguishedName,
    EmailAddress,
    FileOrUrl,
    LoginName,
    OptionalUrl,
    Scope,
    format_distinguished_name,
    normalize_address,
    parse_distinguished_name,
)


def is_taken(kind: object, value: str) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://id.example.com",
        "https://id.example.com:8443/realms/mail/protocol/openid-connect/certs?x=y",
        "https://[2001:db8::1]/keys",
        "http://127.0.0.1:8080/keys",
        "http://[::1]/keys",
    ],
)
def test_urls(url: str) -> None:
    assert is_taken(OptionalUrl, url)


@pytest.mark.parametrize(
    "url",
    [
        "id.example.com",
        "http://id.example.com/",
        "http://localhost/",  # a name: whose it is, a resolver says
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1@id.example.com/",
        "https://alice@id.example.com/",
        "https://alice:secret@id.example.com/",
        "https://",
        "https:///keys",
        "https://id.example.com/#fragment",
        "https://id.example.com/a b",
        "https://id.example.com/\n",
        "https://id.example.com:99999/",
        "https://id.example.com:x/",
        "https://[2001:db8::1/",
        "https://id.ex\u00e4mple.com/",
        "ftp://id.example.com/",
        "file:///etc/passwd",
        "https://id.example.com/" + "x" * 2000,
    ],
)
def test_what_is_no_url_to_trust(url: str) -> None:
    assert not is_taken(OptionalUrl, url)


def test_a_file_or_a_url(tmp_path: Path) -> None:
    adapter = TypeAdapter[str](FileOrUrl)
    context = {"folder": tmp_path}
    assert adapter.validate_python("keys.json", context=context) == f"{tmp_path}/keys.json"
    assert adapter.validate_python("/etc/keys.json", context=context) == "/etc/keys.json"
    assert adapter.validate_python("https://id.example.com/keys", context=context) == "https://id.example.com/keys"
    assert adapter.validate_python("") == ""
    for wrong in ("http://id.example.com/keys", "keys\n.json"):
        assert not is_taken(FileOrUrl, wrong)


def test_logins() -> None:
    assert is_taken(LoginName, "alice")
    assert is_taken(LoginName, "alice@example.com")
    assert not any(is_taken(LoginName, wrong) for wrong in ("", "@", "alice@", "a\nb", "x" * 256))


def test_addresses() -> None:
    adapter = TypeAdapter[str](EmailAddress)
    assert adapter.validate_python("Alice@Example.COM") == "Alice@example.com"
    assert adapter.validate_python("") == ""
    for wrong in ("alice", "@example.com", "alice@", "alice@exa mple.com", "al\nice@example.com", "\u00e4@example.com"):
        assert not is_taken(EmailAddress, wrong)


def test_the_case_of_a_domain_does_not_matter_and_that_of_a_person_does() -> None:
    assert normalize_address("alice@Example.Com") == normalize_address("alice@example.com")
    assert normalize_address("Alice@example.com") != normalize_address("alice@example.com")


@pytest.mark.parametrize(
    "text",
    ["CN=Alice", "emailAddress=alice@example.com,CN=Alice,O=Example\\, Ltd.,C=DE", "UID=alice,DC=example,DC=com"],
)
def test_subjects(text: str) -> None:
    assert is_taken(DistinguishedName, text)
    assert format_distinguished_name(parse_distinguished_name(text)) == text


@pytest.mark.parametrize("text", ["Alice", "CN=", "CN=Alice,", "/C=DE/CN=Alice", "XX=Alice", "CN=Alice;O=Example", " "])
def test_what_is_no_subject(text: str) -> None:
    assert not is_taken(DistinguishedName, text)


def test_subjects_are_compared_as_what_they_are() -> None:
    name = parse_distinguished_name("CN=Alice,O=Example")
    assert name == parse_distinguished_name("CN = Alice , O = Example".replace(" ", ""))
    for other in (
        "CN=alice,O=Example",
        "O=Example,CN=Alice",
        "CN=Alice",
        "CN=Alice\\,O\\=Example",
        "CN=Alice+O=Example",
    ):
        assert parse_distinguished_name(other) != name


PRINTABLE = st.text(
    st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=16
)  # 64 octets at most


@given(
    st.lists(st.tuples(st.sampled_from(["COMMON_NAME", "ORGANIZATION_NAME", "EMAIL_ADDRESS"]), PRINTABLE), min_size=1)
)
def test_what_the_log_shows_can_be_configured(parts: list[tuple[str, str]]) -> None:
    name = x509.Name([x509.NameAttribute(getattr(x509.NameOID, kind), value) for kind, value in parts])
    text = format_distinguished_name(name)
    assert TypeAdapter[str](DistinguishedName).validate_python(text) == text
    assert parse_distinguished_name(text) == name


def test_scopes() -> None:
    assert all(is_taken(Scope, scope) for scope in ("", "mail", "mail.send offline_access", "https://example.com/send"))
    assert not any(is_taken(Scope, scope) for scope in (" ", "a  b", " a", "a ", 'a"b', "a\\b", "a\tb", "\u00e4"))
