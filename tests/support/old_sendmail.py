"""Debian's sendmail on a host of walk.py's, in its own places: /etc/mail, port 25, and 587 until that is handed over.

It is configured as the package would have it, by the package's own sendmail.mc, but that it serves the network, not
only loopback, for that is the sendmail that people move from. A test appends to /etc/mail/sendmail.mc what its host
has besides, then starts it. Mail for a user of the host ends in /var/mail; other mail waits in the queue, for there is
nowhere to send it. What it tells syslog is in /var/log/mail.log.

Stand-ins: /etc/init.d/sendmail runs the daemon by the same command as Debian's script, whose package isn't unpacked,
and /usr/sbin/sensible-mda appends to the mailbox as the real one would have procmail do it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.support import programs
from tests.support.host import Host
from tests.support.rsyslog import rsyslog
from tests.support.sendmail import BINARY, CONFIGURATION

_INIT_SCRIPT = """\
#!/bin/sh
# start|stop|restart|reload
file=/run/sendmail/mta/sendmail.pid
stop() {
  pid=$(head -1 $file) && while kill "$pid" 2> /dev/null; do sleep 0.05; done
}
case $1 in
  start) /usr/sbin/sendmail-mta -Am -L sm-mta -bd -q10m ;;
  stop) stop ;;
  restart) stop; /usr/sbin/sendmail-mta -Am -L sm-mta -bd -q10m ;;
  reload) kill -HUP "$(head -1 $file)" ;;
esac
"""

_DELIVER = """\
#!/bin/sh
# SENDER USER DETAIL CLIENT, with the message on standard input
{ echo "From $1 $(date)"; cat; echo; } >> "/var/mail/$2"
"""

_ACCESS = """\
Connect:127	RELAY
GreetPause:127	0
ClientRate:127	0
ClientConn:127	0
"""

# What the package's scripts do when it is installed.
_SET_UP = """
useradd --system --user-group smmta
useradd --system --user-group smmsp
cd /usr/sbin
ln -sf ../libexec/sendmail/sendmail sendmail-mta
ln -sf sendmail-mta sendmail
ln -sf sendmail-mta /usr/bin/newaliases
chgrp smmsp ../libexec/sendmail/sendmail
chmod 2755 ../libexec/sendmail/sendmail
install -d -o smmta -g smmsp -m 2755 /run/sendmail /run/sendmail/mta
install -d -o smmta -g smmsp -m 0755 /var/lib/sendmail /var/lib/sendmail/host_status
install -d -o root -g smmsp -m 1750 /var/spool/mqueue
install -d -o smmsp -g smmsp -m 2775 /var/spool/mqueue-client
install -d /etc/mail/m4 /etc/mail/sasl
cd /etc/mail
touch m4/dialup.m4 m4/provider.m4 local-host-names
printf 'hosts files\\naliases files\\npasswd files\\n' > service.switch
echo 'postmaster: root' > aliases
sed 's/, Addr=127.0.0.1//' /usr/share/sendmail/cf/debian/sendmail.mc > sendmail.mc
m4 /usr/share/sendmail/cf/debian/submit.mc > submit.cf
makemap hash access < access
ln -sf ../mail/aliases /etc/aliases
ln -sf /etc/mail/sasl/Sendmail.conf.2 /usr/lib/sasl2/Sendmail.conf
m4 sendmail.mc > sendmail.cf
/usr/sbin/sendmail-mta -bi
"""


# However busy the machine is: by itself sendmail accepts nobody at a load of 12.
_UNDISMAYED = """\
define(`confREFUSE_LA', `1000')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confDELAY_LA', `0')dnl
"""


@contextmanager
def old_sendmail(there: Host, lines: str = "", users: Sequence[str] = ("bob",)) -> Iterator[None]:
    """Lay it out, with these lines at the end of sendmail.mc's settings, and users with mailboxes; it isn't started."""
    programs.require("m4", "rsyslogd")
    programs.require_file(BINARY, "sendmail")
    programs.require_file(CONFIGURATION, "sendmail-cf")
    for name, text in {"init.d/sendmail": _INIT_SCRIPT, "mail/access": _ACCESS}.items():
        there.path(f"/etc/{name}").parent.mkdir(exist_ok=True)
        there.path(f"/etc/{name}").write_text(text)
    there.path("/usr/sbin/sensible-mda").write_text(_DELIVER)
    there.do("chmod 755 /etc/init.d/sendmail /usr/sbin/sensible-mda")
    there.do(_SET_UP)
    source = there.path("/etc/mail/sendmail.mc")
    settings, mark, mailers = source.read_text().partition("MAILER_DEFINITIONS")
    source.write_text(settings + _UNDISMAYED + lines + mark + mailers)
    there.do("m4 /etc/mail/sendmail.mc > /etc/mail/sendmail.cf")
    for user in users:
        there.do(f"useradd --create-home {user}; install -o {user} -g mail -m 0660 /dev/null /var/mail/{user}")
    with rsyslog(there.folder / "syslog", there.machine.log) as log:
        there.do(f"rm -f /var/log/mail.log; ln -s {log.path('rfc3164')} /var/log/mail.log")
        yield
