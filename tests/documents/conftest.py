"""A host for each module, on which documents are followed, with Debian's sendmail on port 25."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.host import Host, host
from tests.support.old_sendmail import old_sendmail
from tests.support.sendmail import ROOT
from tests.support.server import public_folder

# As it is once it has handed port 587 over (docs/migration/sasldb2.md).
_WITHOUT_SUBMISSION = """
sed -i '/^DAEMON_OPTIONS.*Port=submission/s/^/dnl /' /etc/mail/sendmail.mc
m4 /etc/mail/sendmail.mc > /etc/mail/sendmail.cf
echo '192.0.2.99 example.com' >> /etc/hosts
systemctl start sendmail
"""
# README.md, "Its user, its folders, its certificate".
_PLACES = """
useradd --system --home-dir /var/lib/submission --shell /usr/sbin/nologin submission
install -d -o submission -g submission -m 0750 /var/lib/submission
install -d -m 0755 /etc/submission
chgrp -R submission /etc/ssl/mail.example.com
chmod 0750 /etc/ssl/mail.example.com
chmod 0640 /etc/ssl/mail.example.com/privkey.pem
"""
_CONFIGURATION = """\
hostname = "mail.example.com"

[[listen]]
address = "0.0.0.0:587"
tls = "starttls"

[tls]
certificate = "/etc/ssl/mail.example.com/fullchain.pem"
key = "/etc/ssl/mail.example.com/privkey.pem"

[auth]
realm = "example.com"
"""


@pytest.fixture(scope="module")
def there() -> Iterator[Host]:
    with public_folder() as folder, host(folder, ROOT) as there, old_sendmail(there):
        there.do(_WITHOUT_SUBMISSION)
        there.make_certificate()
        yield there
        there.do("systemctl stop sendmail")


@pytest.fixture(scope="module")
def installed(there: Host) -> Host:
    """The host, once its admin has followed README.md up to the first account."""
    there.do(_PLACES)
    there.path("/etc/submission/submission.toml").write_text(_CONFIGURATION)
    return there
