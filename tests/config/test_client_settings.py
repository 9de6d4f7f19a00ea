from pathlib import Path

import pytest

from submission.config import load
from submission.config.client_settings import client_settings
from submission.core.client_settings import ClientSettings, NoWayError


def read(folder: Path, listeners: list[dict[str, str]], realm: str = "", head: str = "") -> ClientSettings:
    """What users have to know where there are these listeners."""
    text = (
        f'hostname = "mail.example.com"\n{head}\n[tls]\ncertificate = "x"\nkey = "x"\n[auth]\nrealm = "example.com"\n'
    )
    for listener in listeners:
        text += "[[listen]]\n" + "".join(f"{key} = {value}\n" for key, value in listener.items())
    (folder / "submission.toml").write_text(text)
    return client_settings(load(folder / "submission.toml"), realm)


def listener(address: str, tls: str = "starttls", **more: str) -> dict[str, str]:
    return {"address": f'"{address}"', "tls": f'"{tls}"', **more}


def servers(found: ClientSettings) -> list[tuple[str, int, str]]:
    return [(server.host, server.port, server.tls) for server in found.outgoing]


def test_implicit_tls_is_best_and_the_usual_port_before_others(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        [
            listener("0.0.0.0:25587"),
            listener("0.0.0.0:587"),
            listener("192.0.2.1:465", "implicit"),
            listener("[::]:465", "implicit"),
        ],
    )
    assert servers(found) == [
        ("mail.example.com", 465, "implicit"),
        ("mail.example.com", 587, "starttls"),
        ("mail.example.com", 25587, "starttls"),
    ]
    assert found.realm == "example.com"
    assert "PLAIN" in found.mechanisms


def test_ports_that_others_hold_are_the_usual_ones(tmp_path: Path) -> None:
    balanced = listener("10.0.0.1:10465", "implicit", proxy_protocol='["10.0.0.7"]')
    assert servers(read(tmp_path, [listener("systemd:submission"), balanced])) == [
        ("mail.example.com", 465, "implicit"),
        ("mail.example.com", 587, "starttls"),
    ]


def test_nobody_is_told_of_listeners_that_are_not_for_people(tmp_path: Path) -> None:
    private = [listener("127.0.0.1:587"), listener("[::1]:587"), listener("unix:/x"), listener("0.0.0.0:2525", "none")]
    with pytest.raises(NoWayError, match="no listener"):
        read(tmp_path, private)
    assert servers(read(tmp_path, [*private, listener("0.0.0.0:588")])) == [("mail.example.com", 588, "starttls")]


def test_a_realm_may_be_named_if_it_is_a_domain(tmp_path: Path) -> None:
    assert read(tmp_path, [listener("0.0.0.0:587")], "example.org").realm == "example.org"
    with pytest.raises(NoWayError, match="not a domain"):
        read(tmp_path, [listener("0.0.0.0:587")], "example.org. IN A 192.0.2.1\n")
