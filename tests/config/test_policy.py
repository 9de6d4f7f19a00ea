from pathlib import Path

import pytest

from submission.config import ConfigError, load
from submission.config.settings import Settings
from submission.core.addresses import Login

LISTEN = '[[listen]]\naddress = "127.0.0.1:587"\ntls = "none"\n[auth]\nrealm = "example.com"\n'


def read(folder: Path, text: str) -> Settings:
    path = folder / "submission.toml"
    path.write_text(LISTEN + text)
    return load(path)


def test_the_lines_of_a_user_add_up_and_case_does_not_matter(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """[policy]
        sender = "own"
        log_only = true
        [[policy.senders]]
        user = "Alice"
        addresses = ["Info@Example.net"]
        [[policy.senders]]
        user = "alice@example.com"
        addresses = ["@list.example.com"]
        [[policy.senders]]
        user = "alice@example.org"
        addresses = ["caf\u00e9@example.org"]
        """,
    )
    rules = settings.policy.sender_rules(settings.auth.realm)
    assert (rules.envelope, rules.from_field, rules.is_enforced) == ("own", "any", False)
    assert rules.more == {
        b"alice@example.com": (b"info@example.net", b"@list.example.com"),
        b"alice@example.org": ("caf\u00e9@example.org".encode(),),
    }
    foreign = [b"x@list.example.com", b"INFO+x@example.NET", b"info@example.com"]
    assert all(rules.find_foreign(Login("ALICE", "example.com"), [address]) is None for address in foreign)


@pytest.mark.parametrize("rule", ["any", "realm", "own"])
def test_the_rules_about_names(rule: str, tmp_path: Path) -> None:
    rules = read(tmp_path, f'[policy]\nsender = "{rule}"\n').policy.sender_rules("example.com")
    assert (rules.envelope, rules.from_field, rules.is_enforced) == (rule, "any", True)
    rules = read(tmp_path, f'[policy]\nfrom_header = "{rule}"\n').policy.sender_rules("example.com")
    assert (rules.envelope, rules.from_field, rules.is_enforced) == ("any", rule, True)


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ('sender = "mine"', "policy.sender"),
        ('from_header = "Own"', "policy.from_header"),
        ('missing_from = "add"', "policy.missing_from"),
        ('senders = [{user = "alice"}]', "policy.senders[0].addresses"),
        ('senders = [{user = "alice", addresses = []}]', "policy.senders[0].addresses"),
        ('senders = [{user = "", addresses = ["a@b"]}]', "policy.senders[0].user"),
        *(
            (f"senders = [{{user = 'alice', addresses = ['{address}']}}]", "policy.senders[0].addresses[0]")
            for address in ("", "@", "info", "list.example.com", "a@b@c", '"a b"@c', "<a@b>", "a@", "*@example.com.*")
        ),
    ],
)
def test_faults(lines: str, key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"[policy]\n{lines}\n")
    assert f":{key}: " in str(caught.value)
