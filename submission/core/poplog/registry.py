"""All formats by name: `FORMATS["dovecot"]`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from submission.core.poplog.format import Format
from submission.core.poplog.formats.apple import APPLE
from submission.core.poplog.formats.communigate import COMMUNIGATE
from submission.core.poplog.formats.courier import COURIER
from submission.core.poplog.formats.cucipop import CUCIPOP
from submission.core.poplog.formats.cyrus import CYRUS
from submission.core.poplog.formats.dovecot import DOVECOT
from submission.core.poplog.formats.exchange import EXCHANGE
from submission.core.poplog.formats.gnu_pop3d import GNU_POP3D
from submission.core.poplog.formats.hmailserver import HMAILSERVER
from submission.core.poplog.formats.imapproxy import IMAPPROXY
from submission.core.poplog.formats.mailfront import MAILFRONT
from submission.core.poplog.formats.mailutils import MAILUTILS
from submission.core.poplog.formats.nginx import NGINX
from submission.core.poplog.formats.perdition import PERDITION
from submission.core.poplog.formats.popa3d import POPA3D, POPA3D_PATCHED
from submission.core.poplog.formats.qpopper import QPOPPER
from submission.core.poplog.formats.solid_pop3d import SOLID_POP3D
from submission.core.poplog.formats.stalwart import STALWART
from submission.core.poplog.formats.teapop import TEAPOP
from submission.core.poplog.formats.tpop3d import TPOP3D
from submission.core.poplog.formats.uw import UW
from submission.core.poplog.formats.vm_pop3d import VM_POP3D
from submission.core.poplog.formats.vpop3d import VPOP3D
from submission.core.poplog.formats.vpopmail import VPOPMAIL
from submission.core.poplog.formats.xmail import XMAIL
from submission.core.poplog.formats.zimbra import ZIMBRA

_ALL = (
    DOVECOT,
    COURIER,
    CYRUS,
    UW,
    QPOPPER,
    POPA3D,
    POPA3D_PATCHED,
    TEAPOP,
    TPOP3D,
    SOLID_POP3D,
    CUCIPOP,
    GNU_POP3D,
    MAILUTILS,
    VM_POP3D,
    VPOPMAIL,
    VPOP3D,
    PERDITION,
    NGINX,
    IMAPPROXY,
    MAILFRONT,
    XMAIL,
    ZIMBRA,
    EXCHANGE,
    HMAILSERVER,
    APPLE,
    STALWART,
    COMMUNIGATE,
)

FORMATS: Mapping[str, Format] = MappingProxyType({family.name: family for family in _ALL})
"""Name, as `formats` in the configuration has it, to format."""
