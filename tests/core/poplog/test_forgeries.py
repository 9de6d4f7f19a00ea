"""What strangers write into logs: no grant ever for an address that did not log in.

A stranger chooses the name that he fails to log in with, in full; one with an account may have a name that he chose; the
owner of an address chooses its name in DNS, of what resolvers let through; and any sender chooses what mail servers log
of his message. All of them know what a login looks like. Each template is a line as its server's source formats it:
`{user}`, `{name}` and `{text}` are theirs, `{ip}` is where they are.
"""

import ipaddress
import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.poplog import PopLogin
from submission.core.poplog.header import MAX_LINE
from submission.core.poplog.reader import Reader
from submission.core.poplog.registry import FORMATS
from tests.support.poplog import FOLDER, NOW, all_sessions, everything

REAL = b"198.51.100.23"
FORGED = b"203.0.113.66"
SYSLOG = b"Nov 21 02:19:24 mail "

SUCCESSES = {
    "dovecot": [
        "dovecot: pop3-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.1, mpid=36, session=<bqND/b9gQYP>",
        "dovecot: imap-login: Logged in: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.1, mpid=32, TLS, session=<L>",
        "dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.1",
        "dovecot: imap-login: proxy({user}): started proxying to 192.0.2.9:143: user=<{user}>, method=PLAIN, rip={ip}, "
        "lip=192.0.2.1, TLS, session=<abc>",
        "imap-login: Login: {user} [{ip}]",
    ],
    "courier": [
        "pop3d: LOGIN, user={user}, ip=[::ffff:{ip}], port=[48607]",
        "imapd: LOGIN, user={user}, ip=[{ip}], port=[48607], protocol=IMAP",
        "courierpop3login: LOGIN, user={user}, ip=[::ffff:{ip}]",
    ],
    "cyrus": [
        "cyrus/pop3[38]: login: {name} [{ip}] {user} plaintext User logged in SESSIONID=<cyrus-1-38-1-7>",
        "cyrus/imap[38]: login: [{ip}] {user} PLAIN+TLS User logged in SESSIONID=<cyrus-1-38-1-7>",
        "imapd[38]: login: {name}[{ip}] {user} plaintext",
    ],
    "uw-imap": [
        "ipop3d[28]: Login user={user} host={name} [{ip}] nmsgs=1/1",
        "imapd[28]: Login user={user} host={name} [{ip}]",
        "imapd[28]: Authenticated user={user} host=[{ip}] mech=PLAIN",
    ],
    "qpopper": ['popper[4711]: (v4.0.9) POP login by user "{user}" at ({name}) {ip} [pop_log.c:244]'],
    "teapop": ["teapop[28]: Successful login for {user} [192.0.2.1] from {name} [{ip}]"],
    "tpop3d": ["tpop3d[30]: fork_child: [5]{user}({ip}): began session for `{user}' with pam; child PID is 31"],
    "solid-pop3d": [
        "solid-pop3d[29]: user {user} authenticated - {ip}",
        "solid-pop3d[29]: user {user} authenticated - {name} ({ip})",
        "solid-pop3d[29]: user {user} authenticated",
    ],
    "popa3d": ["popa3d[30]: Authentication passed for {user}"],
    "popa3d-patched": ["popa3d[30]: Authentication passed for {user} -- [{ip}]"],
    "mailutils": [
        "pop3d[29]: POP3 login: user `{user}', source system",
        "pop3d[29]: user `{user}' logged in with mailbox `/var/mail/{user}' (1 message)",
        "imap4d[29]: user `{user}' logged in (source: system)",
    ],
    "vm-pop3d": [
        "vm-pop3d[29]: User '{user}' of 'example.com' logged in",
        "vm-pop3d[29]: User '{user}' logged in from {ip}, nmsgs=3",
    ],
    "gnu-pop3d": ["gnu-pop3d[312]: User {user} logged in with mailbox /var/mail/{user} from {ip}"],
    "cucipop": ["cucipop[4711]: {user} {ip} 0, 0 (0), 3 (14890)"],
    "vpopmail": [
        "vpopmail[20057]: vchkpw-pop3: (PLAIN) login success {user}@example.com:{ip}",
        "vpopmail[301]: vchkpw: login [{user}] from {ip}",
    ],
    "vpop3d": ["vpop3d: ({user},{ip}) Authenticated"],
    "perdition": [
        "perdition.pop3[39]: Auth: {ip}:57003->192.0.2.1:110 client-secure=plaintext authorisation_id=NONE "
        'authentication_id="{user}" server="192.0.2.1:110" protocol=POP3 server-secure=plaintext status="ok"',
        'perdition[55]: Auth: {ip}->192.0.2.1 user="{user}" server="pop.example.com" port="110" status="ok"',
    ],
    "nginx": [
        "mail nginx: 2026/11/21 03:23:30 [info] 38#38: *5 client logged in, client: {ip}, server: 192.0.2.1:110, "
        'login: "{user}", upstream: 192.0.2.1:11110'
    ],
    "imapproxy": ["in.imapproxyd[24]: LOGIN: '{user}' ({ip}:49401) on new sd [9]"],
}
"""Lines of logins, whose name may be of the user's choice."""

FAILURES = {
    "dovecot": [
        "dovecot: pop3-login: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 1 secs): "
        "user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.1, session=<gvsf/r9gd5XAAAIy>",
        "dovecot: pop3-login: Login aborted: Logged out (auth failed, 1 attempts in 0 secs) (auth_failed): "
        "user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.1, TLS, session=<0/DumsBgb47AAAIy>",
        "dovecot: pop3-login: Aborted login (auth failed, 1 attempts): user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.1",
        "dovecot: imap-login: proxy({user}): Login failed to 192.0.2.9:143: Authentication failed: user=<{user}>, "
        "method=PLAIN, rip={ip}, lip=192.0.2.1, session=<abc>",
        "dovecot: auth: Info: static({user},{ip},<YeqQFsBgVcjAAAIy>): Password mismatch",
        "dovecot: pop3({user})<34><uXQw/b9gbaDAAAIy>: Disconnected: Logged out top=0/0, retr=0/0, del=0/0, size=0",
        "dovecot: pop3: Error: {user}",
        "dovecot: managesieve-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.1, mpid=78, session=<a>",
        "dovecot: submission-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.1, mpid=78, session=<a>",
        "dovecot: lmtp({user})<451><x>: msgid=<{text}>: saved mail to INBOX",
        "dovecot: imap-login: Login: user=<anonymous>, method=ANONYMOUS, rip={ip}, lip=192.0.2.1, mpid=78, session=<a>",
    ],
    "courier": [
        "pop3d: LOGIN FAILED, user={user}, ip=[::ffff:{ip}], port=[48455]",
        "imapd: LOGIN FAILED, method=PLAIN, ip=[::ffff:{ip}], port=[50111]",
        "imapd: LOGOUT, user={user}, ip=[{ip}], port=[40609], headers=0, body=0, rcvd=26, sent=328, time=1",
        "imapd: DISCONNECTED, user={user}, ip=[{ip}], port=[40609], headers=0, body=0, rcvd=26, sent=328, time=1",
        "imapd: {user}: Permission denied",
        "pop3d: {user}: No such file or directory",
    ],
    "cyrus": [
        "cyrus/pop3[38]: badlogin: {name} [{ip}] plaintext ({user}) [SASL(-13): authentication failure: checkpass failed]",
        "cyrus/pop3[38]: badlogin: [{ip}] plaintext {user} invalid user",
        "cyrus/imap[38]: badlogin: [{ip}] PLAIN ({user}) [SASL(-13): authentication failure: {user}]",
        "cyrus/imap[38]: login: {name} [{ip}] anonymous {text}",
        "cyrus/imap[38]: USAGE {user} user: 0.006273 sys: 0.000000",
        "cyrus/pop3[38]: {user}: Logins must be at least 1 minute apart",
        "cyrus/sieve[38]: login: {name} [{ip}] {user} PLAIN User logged in",
        "cyrus/http[38]: login: {name} [{ip}] {user} Basic User logged in SESSIONID=<x>",
        "cyrus/nntp[38]: login: {name} [{ip}] {user} plaintext User logged in",
    ],
    "uw-imap": [
        "ipop3d[33]: Login failed user={user} auth={user} host={name} [{ip}]",
        "imapd[33]: Login disabled user={user} auth={user} host={name} [{ip}]",
        "imapd[33]: Login excessive login failures user={user} auth={user} host={name} [{ip}]",
        "imapd[33]: AUTHENTICATE PLAIN failure host={name} [{ip}]",
        "imapd[33]: Failed {user} override of user={user} host={name} [{ip}]",
        "imapd[33]: Logout user={user} host={name} [{ip}]",
        "imapd[33]: Autologout user={user} host={name} [{ip}]",
        "ipop3d[33]: Update user={user} host={name} [{ip}] nmsgs=1 ndele=0 nseen=0",
        "ipop3d[33]: pam_unix(pop:auth): authentication failure; logname= uid=0 euid=0 tty= ruser= rhost={ip}  user={user}",
        "imapd[33]: port 143 service init from {ip}",
    ],
    "qpopper": [
        "popper[4715]: [AUTH] Failed attempted login to {user} from host ({name}) {ip}",
        'popper[4718]: {user} at {name} ({ip}): -ERR [AUTH] Password supplied for "{user}" is incorrect.',
        'popper[4718]: {user} at {name} ({ip}): -ERR Unknown command: "{text}". [popper.c:820]',
        "popper[4718]: {user} at {name} ({ip}): -ERR Unknown authentication mechanism: {text}",
        "popper[4711]: Stats: {user} 0 0 3 14890 {name} {ip} [pop_updt.c:296]",
        "popper[235]: Possible probe of account {user} from host {name}",
        'popper[4711]: (v4.0.9) Servicing request from "{name}" at {ip} [pop_init.c:1408]',
    ],
    "teapop": [
        "teapop[33]: Failed login for {user} [192.0.2.1] from {name} [{ip}]",
        "teapop[33]: {user} [{ip}] R0(0) D0(0) L1(84)",
    ],
    "tpop3d": [
        "tpop3d[30]: connection_do: client `[5]{ip}/example.com': username `{user}': 1 authentication failures",
        "tpop3d[30]: connections_post_select: client [5]{user}({ip}): finished session for `{user}' with pam",
        "tpop3d[30]: authcontext_new_user_pass: began session for `{user}' with pam; uid 1000, gid 1000",
    ],
    "solid-pop3d": [
        "solid-pop3d[40]: authentication failed: no such user: {user} - {name} ({ip})",
        "solid-pop3d[40]: can't find APOP secret for user {user} - {ip}",
        "solid-pop3d[40]: session ended for user {user} - {ip}",
    ],
    "popa3d": ["popa3d[34]: Authentication failed for {user}", "popa3d[34]: pam_unix(popa3d:auth): user={user}"],
    "mailutils": [
        "pop3d[33]: user `{user}': authentication failed",
        "pop3d[33]: user `{user}' nonexistent",
        "imap4d[33]: login failed: {user}",
        "pop3d[33]: session ended for user: {user}",
        "imap4d[33]: session terminating for user: {user}",
    ],
    "vm-pop3d": [
        "vm-pop3d[20766]: User '{user}' - failed auth, from={ip}",
        "vm-pop3d[20766]: Session ended for user: '{user}' from {ip}, nmsgs=3, ndel=0",
    ],
    "gnu-pop3d": [
        "gnu-pop3d[312]: Session ended for user: {user}",
        "gnu-pop3d[312]: User {user}: authentication failed",
    ],
    "cucipop": [
        "cucipop[4711]: Authentication failed {user} {ip}",
        "cucipop[4711]: Invalid command {text}",
        'cucipop[4711]: Invalid command: "{text}"',
    ],
    "vpopmail": [
        "vpopmail[20064]: vchkpw-pop3: password fail {user}@example.com:{ip}",
        "vpopmail[20064]: vchkpw-pop3: password fail (pass: '{text}') {user}@example.com:{ip}",
        "vpopmail[20064]: vchkpw-pop3: vpopmail user not found {user}@:{ip}",
        "vpopmail[20064]: vchkpw-smtp: (PLAIN) login success {user}@example.com:{ip}",
        "vpopmail[20064]: vchkpw-submission: (PLAIN) login success {user}@example.com:{ip}",
        "vpopmail[20064]: vchkpw-webmail: (PLAIN) login success {user}@example.com:{ip}",
    ],
    "perdition": [
        "perdition.imap4[47]: Auth: {ip}:33139->192.0.2.1:143 client-secure=plaintext authorisation_id=NONE "
        'authentication_id="{user}" server="192.0.2.1:143" protocol=IMAP4 server-secure=plaintext '
        'status="failed: Re-Authentication Failure"',
        'perdition.pop3[39]: Closing session: {ip}:57003->192.0.2.1:110 authorisation_id=NONE authentication_id="{user}" '
        "received=12 sent=15",
    ],
    "nginx": [
        'mail nginx: 2026/11/21 03:23:36 [info] 38#38: *25 client login failed: "Invalid login or password" while in '
        'http auth state, client: {ip}, server: 192.0.2.1:110, login: "{user}"',
        "mail nginx: 2026/11/21 03:23:29 [info] 38#38: *1 proxied session done, client: {ip}, server: 192.0.2.1:110, "
        'login: "{user}", upstream: 192.0.2.1:11110',
        "mail nginx: 2026/11/21 03:23:30 [info] 38#38: *5 client logged in, client: {ip}, server: 192.0.2.1:587, "
        'login: "{user}", upstream: 192.0.2.1:25',
    ],
    "imapproxy": [
        "in.imapproxyd[24]: LOGIN: '{user}' ({ip}:48637) failed: non-OK server response to LOGIN command: NO {user}",
        "in.imapproxyd[24]: LOGIN: '{user}' ({ip}:49401) no previous connection: creating a new one",
        "in.imapproxyd[24]: LOGOUT: '{user}' from server sd [9]",
    ],
    "mail": [
        "postfix/cleanup[451]: 1A9582CE9BA: message-id=<{text}>",
        "postfix/smtpd[448]: warning: Illegal address syntax from {name}[{ip}] in MAIL command: <{text}>",
        "postfix/smtpd[448]: NOQUEUE: reject: RCPT from {name}[{ip}]: 454 4.7.1 <v@example.org>: Relay access denied; "
        "from=<{text}> to=<v@example.org> proto=ESMTP helo=<{text}>",
        "postfix/submission/smtpd[9]: 1A2B3C4D: client={name}[{ip}], sasl_method=PLAIN, sasl_username={user}",
        "sendmail[40]: 6AL3SnxB000040: from=<{text}>, size=0, class=0, nrcpts=0, proto=ESMTP, relay={name} [{ip}]",
        "sm-mta[40]: AUTH=server, relay={name} [{ip}], authid={user}, mech=PLAIN, bits=0",
        "spamd[12]: spamd: result: Y 5 - X scantime=1.0,mid=<{text}>,autolearn=no",
        "exim[12]: 1abc <= {text} H={name} [{ip}] P=esmtp id={text}",
        "sieve: msgid=<{text}>: stored mail into mailbox",
        "sshd[9]: Accepted password for {user} from {ip} port 50123 ssh2",
        "popa3d[9]: refused connect from {ip}",
        "logger: {text}",
        "{ip}: {text}",
    ],
}
"""Lines that are no login, whatever is written into them."""

CONNECTS = {
    "solid-pop3d": ["solid-pop3d[29]: connect from {ip}"],
    "popa3d": ["popa3d[30]: Session from {ip}", "popa3d[30]: connect from {name} ({ip})"],
    "mailutils": ["pop3d[29]: connect from {name} ({ip})", "imap4d[29]: connect from {name} ({ip})"],
    "vm-pop3d": ["vm-pop3d[29]: Connect from {ip}"],
}
"""Lines that go before the success of sessions which name their address there."""

NAMES = [b"client7.example.net", b"203.0.113.66", b"_203.0.113.66_", b"203.0.113.66.", b"x" * 200]
SEPARATORS = [b"", b"\n", b"#012", b"^J", b"\r", b"\0", b"\t", b" ", b"...", b">", b"]", b"'", b'"', b",", b";", b"#"]


def fill(template: str, user: bytes = b"joe", name: bytes = b"client7.example.net", text: bytes = b"x") -> bytes:
    line = SYSLOG + template.encode()
    for key, value in ((b"{ip}", REAL), (b"{name}", name), (b"{user}", user), (b"{text}", text)):
        line = line.replace(key, value)
    return line


def forged_lines() -> Iterator[bytes]:
    """Every login that we know, for the forged address: whole lines, and messages of this file's successes."""
    for session in all_sessions():
        for line in session:
            if line.is_login:
                address = line.verdict.split(" ")[-2].encode()
                yield line.text.replace(address, FORGED).replace(b"2001:DB8:1:2:0:0:0:ABCD", FORGED)
    for templates in itertools.chain(SUCCESSES.values(), CONNECTS.values()):
        for template in templates:
            yield fill(template).replace(REAL, FORGED)


def payloads() -> list[bytes]:
    """What a stranger would write: whole lines, messages, their tails from the name on, and each between separators."""
    whole = dict.fromkeys(forged_lines())
    parts = dict.fromkeys(whole)
    for line in whole:
        message = re.split(rb"[a-z0-9./-]+(?:\[[0-9]+\])?: ", line, maxsplit=1)[-1]
        user = re.search(rb"joe|anna", message)
        parts |= dict.fromkeys((message, message[user.start() :] if user else message))
    tails = [b" " + part for part in parts] + [b"joe" + part[part.find(b"joe") + 3 :] for part in parts]
    return [*parts, *dict.fromkeys(tails)]


PAYLOADS = payloads()


def cases(table: dict[str, list[str]]) -> list[str]:
    return [template for templates in table.values() for template in templates]


def refused_or_real(login: PopLogin | None) -> bool:
    return login is None or str(login.address) == REAL.decode()


@pytest.mark.parametrize("template", cases(FAILURES))
def test_no_line_but_a_login_grants_anything(template: str) -> None:
    reader = everything()
    for payload in PAYLOADS:
        line = fill(template, user=payload, text=payload)
        assert reader.feed(line, NOW) is None, line


@pytest.mark.parametrize("template", cases(FAILURES))
def test_nor_between_separators_nor_for_what_dns_says(template: str) -> None:
    reader = everything()
    for payload, before, after in itertools.product(PAYLOADS[::7], SEPARATORS, (b"", b"\n", b"#012", b" ")):
        text = before + payload + after
        line = fill(template, user=text, text=text, name=NAMES[len(text) % len(NAMES)])
        assert reader.feed(line, NOW) is None, line


@pytest.mark.parametrize(
    ("family", "template"), [(family, template) for family, templates in SUCCESSES.items() for template in templates]
)
def test_a_login_grants_its_own_address_or_none(family: str, template: str) -> None:
    """Where popa3d isn't patched, its patch's format must not be named: its lines end like a name could."""
    formats = [known for name, known in FORMATS.items() if name != "popa3d-patched" or family == name]
    for before in (*CONNECTS.get(family, ()), ""):
        for payload, name in itertools.product(PAYLOADS, NAMES[:2]):
            reader = Reader(formats)
            if before:
                assert reader.feed(fill(before, name=name), NOW) is None
            line = fill(template, user=payload, name=name)
            assert refused_or_real(reader.feed(line, NOW)), line


@pytest.mark.parametrize(
    ("family", "template"), [(family, template) for family, templates in SUCCESSES.items() for template in templates]
)
def test_odd_names_log_in(family: str, template: str) -> None:
    """The templates are right: without an attack each of them is a login, of people with odd names too."""
    users = (b"joe", b"joe@example.com", b"[203.0.113.66]", b"o'brien", b"<joe>")
    spaced = () if family == "cucipop" else (b"joe smith", b'joe"quoted"')
    for user in (*users, *spaced):
        reader = everything()
        for before in CONNECTS.get(family, ()):
            reader.feed(fill(before), NOW)
        login = reader.feed(fill(template, user=user), NOW)
        assert login is not None, (template, user)
        assert login.server == family
        assert login.user.startswith(user.decode())
        assert login.address == ipaddress.ip_address(REAL.decode())


@pytest.mark.parametrize("limit", [256, 1024, 2048])
@pytest.mark.parametrize("template", cases(SUCCESSES) + cases(FAILURES))
def test_a_line_that_syslog_cut_grants_nothing(template: str, limit: int) -> None:
    """The cut takes the server's own words away, and those of the name are left."""
    assert limit > MAX_LINE or limit == 256
    reader = everything()
    for payload in PAYLOADS[::7]:
        line = fill(template, user=b"%" + payload, text=b"%" + payload)
        if limit == 256:
            line = line.replace(SYSLOG, SYSLOG + b"mail.info ", 1)
        cut = line.find(payload) + len(payload)
        for length in range(cut - 4, cut + 4):
            padded = line[:length].replace(b"%", b"x" * (limit - length), 1)
            assert reader.feed(padded, NOW) is None, padded


FRAGMENTS = [REAL, FORGED, *SEPARATORS, *(re.escape(name.encode()) for name in FORMATS)] + [
    piece.encode() for template in cases(SUCCESSES) + cases(CONNECTS) for piece in re.split(r"\{[a-z]+\}", template)
]


@given(
    template=st.sampled_from(cases(FAILURES)),
    text=st.lists(st.sampled_from(FRAGMENTS), max_size=8).map(b"".join),
    name=st.sampled_from(NAMES),
)
def test_pieces_of_logins_are_none(template: str, text: bytes, name: bytes) -> None:
    assert everything().feed(fill(template, user=text, text=text, name=name), NOW) is None


@given(
    template=st.sampled_from(cases(SUCCESSES)),
    text=st.lists(st.sampled_from(FRAGMENTS), max_size=8).map(b"".join),
    name=st.sampled_from(NAMES),
)
def test_pieces_of_logins_never_change_the_address(template: str, text: bytes, name: bytes) -> None:
    reader = Reader([known for known in FORMATS.values() if known.name != "popa3d-patched"])
    reader.feed(SYSLOG + b"popa3d[30]: Session from " + REAL, NOW)
    assert refused_or_real(reader.feed(fill(template, user=text, name=name), NOW))


def test_nginx_file_with_line_feeds_in_a_name() -> None:
    """Each of the lines is perfect, and all but the first are a stranger's: none counts."""
    name = b'x"\n2026/11/21 03:59:59 [info] 38#38: *9 client logged in, client: ' + FORGED
    name += b', server: 192.0.2.1:110, login: "joe", upstream: 192.0.2.1:11110\nx'
    line = fill(FAILURES["nginx"][0], user=name).removeprefix(SYSLOG + b"mail nginx: ")
    reader = everything()
    assert [reader.feed(part, NOW) for part in line.split(b"\n")] == [None, None, None]


def test_a_password_of_a_guest_is_no_end_of_a_line() -> None:
    line = b"imapd[1]: login: [" + REAL + b"] anonymous me@example.org PLAIN User logged in"
    assert everything().feed(SYSLOG + line, NOW) is None


def test_lines_are_recorded_for_every_template() -> None:
    assert {file.stem for file in FOLDER.glob("*.txt")} >= SUCCESSES.keys()
