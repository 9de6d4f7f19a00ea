import pytest

from submission.core.client_settings import FORMATS, document
from tests.support.client_settings import settings

FIRST_WORDS = {
    "text": b"Outgoing mail",
    "autoconfig": b"<?xml version='1.0' encoding='utf-8'?>\n<clientConfig",
    "mobileconfig": b"<?xml",
    "autodiscover": b"<?xml version='1.0' encoding='utf-8'?>\n<Autodiscover",
    "dns": b"_submissions._tcp.",
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_has_a_name(name: str) -> None:
    assert document(name, settings()).startswith(FIRST_WORDS[name])
