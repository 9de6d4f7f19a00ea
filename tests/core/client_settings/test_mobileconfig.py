import plistlib

import pytest

from submission.core.client_settings import NoWayError
from submission.core.client_settings.mobileconfig import write
from tests.support.client_settings import IMAPS, POP3, SUBMISSION, settings


def test_a_profile_has_both_servers_and_no_secret() -> None:
    profile = plistlib.loads(write(settings()))
    assert (profile["PayloadType"], profile["PayloadIdentifier"]) == ("Configuration", "com.example.submission")
    (account,) = profile["PayloadContent"]
    assert account["PayloadType"] == "com.apple.mail.managed"
    assert account["EmailAccountType"] == "EmailTypeIMAP"
    assert [account[f"IncomingMailServer{key}"] for key in ("HostName", "PortNumber", "UseSSL")] == [
        IMAPS.server.host,
        993,
        True,
    ]
    assert [account[f"OutgoingMailServer{key}"] for key in ("HostName", "PortNumber", "UseSSL", "Authentication")] == [
        "mail.example.com",
        465,
        True,
        "EmailAuthPassword",
    ]
    assert {"IncomingPassword", "OutgoingPassword", "EmailAddress", "OutgoingMailServerUsername"}.isdisjoint(account)


def test_it_replaces_the_one_before_and_no_other() -> None:
    profiles = [
        plistlib.loads(write(given)) for given in (settings(), settings(SUBMISSION), settings(realm="other.example"))
    ]
    first, second, other = (
        {profile["PayloadUUID"], profile["PayloadContent"][0]["PayloadUUID"]} for profile in profiles
    )
    assert first == second
    assert len(first) == 2
    assert not first & other


def test_encrypted_passwords_are_for_those_who_have_nothing_better() -> None:
    (account,) = plistlib.loads(write(settings(mechanisms=("CRAM-MD5",), incoming=POP3)))["PayloadContent"]
    assert (account["OutgoingMailServerAuthentication"], account["EmailAccountType"]) == (
        "EmailAuthCRAMMD5",
        "EmailTypePOP",
    )


@pytest.mark.parametrize("mechanisms", [("EXTERNAL",), ("XOAUTH2",), ("SCRAM-SHA-256",)])
def test_what_a_profile_can_not_say_is_told(mechanisms: tuple[str, ...]) -> None:
    with pytest.raises(NoWayError):
        write(settings(mechanisms=mechanisms))
