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


@pytest.fixture(scope="module")
def there() -> Iterator[Host]:
    with public_folder() as folder, host(folder, ROOT) as there, old_sendmail(there):
        there.do(_WITHOUT_SUBMISSION)
        there.make_certificate()
        yield there
        there.do("systemctl stop sendmail")
