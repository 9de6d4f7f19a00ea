import pytest
from hypothesis import given
from hypothesis import strategies as st

from submission.core.predecessors import (
    Line,
    Login,
    Refusal,
    read_access,
    read_conf,
    read_info,
    read_localip,
    read_login,
    read_popip,
    read_relay,
)


def test_access_info_tells_who_read_mail_where_and_when() -> None:
    text = (
        "Mar 26 18:29:32\tjoe\t192.0.2.50\t1017188972\n"
        "Mar 26 18:30:00\tann\t::ffff:192.0.2.51\t1017189000\n"
        "\n# a note\n"
        "Mar 26 18:29:32\tjoe\tdialup7.example.net\t1017188972\n"
        "Mar 26 18:29:32\tjoe\t127.0.0.1\t1017188972\n"
        "Mar 26 18:29:32\tjoe\t192.0.2.52\tyesterday\n"
        "Mar 26 18:29:32 joe 192.0.2.50 1017188972\n"
    )
    assert list(read_info(text)) == [
        Login("192.0.2.50", "joe", 1017188972),
        Login("192.0.2.51", "ann", 1017189000),
        Refusal("line 5", "not an IP address"),
        Refusal("line 6", "not the address of one client"),
        Refusal("line 7", "no time in seconds since 1970"),
        Refusal("line 8", "not four fields between tabs"),
    ]


@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\r"])
def test_a_user_s_name_ends_no_line(end: str) -> None:
    """qpopper logs what it is told, and POPauthd wrote that down."""
    name = f"joe{end}Mar 26 18:29:32\tann\t192.0.2.66\t1017188972{end}"
    text = f"Mar 26 18:29:32\t{name}\t192.0.2.50\t1017188972\n"
    assert list(read_info(text)) == [Refusal("line 1", "not four fields between tabs")]


def test_popip_tells_which_address_read_mail_when() -> None:
    text = "192.0.2.50\t1017188972\nlocalhost\t1017188972\n192.0.2.51\n192.0.2.52\tOK\n"
    assert list(read_popip(text)) == [
        Login("192.0.2.50", "", 1017188972),
        Refusal("line 2", "not an IP address"),
        Refusal("line 3", "no time in seconds since 1970"),
        Refusal("line 4", "no time in seconds since 1970"),
    ]


def test_an_entry_of_popip_and_a_file_of_popdata_have_no_user() -> None:
    assert read_login("popip", "192.0.2.50", "1017188972") == Login("192.0.2.50", "", 1017188972)
    assert read_login("popip", "joe", "1017188972") == Refusal("popip", "not an IP address")


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("192.168\tRELAY", Line("static", "192.168.0.0/16")),
        ("192.168.\tOK", Refusal("line 1", "stays sendmail's own matter: it lets nobody relay")),
        ("10 RELAY", Line("static", "10.0.0.0/8")),
        ("Connect:192.0.2.1\tRELAY", Line("static", "192.0.2.1")),
        ("Connect:IPv6:2001:db8:0:0:0:0:0:50\tRELAY", Line("static", "2001:db8::50")),
        ("IPv6:2001:db8:0:0:0:0:0:50\tRELAY", Line("static", "2001:db8::50")),
        ("Connect:127\tRELAY", Refusal("line 1", "this host itself: no port of ours lets it in without a login")),
        ("IPv6:::1\tRELAY", Refusal("line 1", "this host itself: no port of ours lets it in without a login")),
        ("192.0.2.66\tREJECT", Line("deny", "192.0.2.66")),
        ("192.0.2.66\tERROR:5.7.1:550 no", Line("deny", "192.0.2.66")),
        ("192.0.2.66\t550 go away", Line("deny", "192.0.2.66")),
        ("192.0.2.66\tSKIP", Refusal("line 1", "stays sendmail's own matter: it lets nobody relay")),
        ("example.org\tRELAY", Line("relay_domains", "example.org")),
        (".Example.ORG RELAY", Line("relay_domains", "example.org")),
        (
            "Connect:example.org\tRELAY",
            Refusal("line 1", "stays sendmail's own matter: what DNS calls a client lets nobody in here"),
        ),
        ("192.0.2.1\tRELAY # for now", Refusal("line 1", "stays sendmail's own matter: it lets nobody relay")),
        ("example.org\tREJECT", Refusal("line 1", "stays sendmail's own matter: it lets nobody relay")),
        ("From:x@y.example\tREJECT", Refusal("line 1", "stays sendmail's own matter: it isn't about who connects")),
        ("To:a@b.example\tRELAY", Refusal("line 1", "stays sendmail's own matter: it isn't about who connects")),
        ("joe@example.org\tRELAY", Refusal("line 1", "neither an address, nor a network, nor a domain")),
        ("300.1\tRELAY", Refusal("line 1", "neither an address, nor a network, nor a domain")),
        ("192.168.1.1.1\tRELAY", Refusal("line 1", "neither an address, nor a network, nor a domain")),
    ],
)
def test_lines_of_an_access_file(line: str, finding: object) -> None:
    assert list(read_access(f"{line}\n")) == [finding]


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        ("192.168.\tOK", Line("static", "192.168.0.0/16")),
        ("192.168.7.9   anything at all", Line("static", "192.168.7.9")),
        ("10", Line("static", "10.0.0.0/8")),
        ("127.0.0.1 OK", Refusal("line 1", "this host itself: no port of ours lets it in without a login")),
        ("dialup.example.net OK", Refusal("line 1", "neither an address nor a network")),
        ("x" * 2000, Refusal("line 1", "neither an address nor a network")),
    ],
)
def test_in_poprelayd_s_localip_an_address_counts_whatever_stands_beside_it(line: str, finding: object) -> None:
    assert list(read_localip(f"{line}\n")) == [finding]


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        (".Example.ORG", Line("relay_domains", "example.org")),
        ("example.org\tanything at all\r", Line("relay_domains", "example.org")),
        ("192.0.2.50\tRELAY", Refusal("line 1", "not a domain")),
        ("joe", Refusal("line 1", "not a domain")),
    ],
)
def test_in_poprelayd_s_relay_a_domain_counts_and_no_address(line: str, finding: object) -> None:
    assert list(read_relay(f"{line}\n")) == [finding]


def test_poprelay_conf_is_read_and_not_run() -> None:
    text = """
# where things are
$logfile = "/var/log/maillog";   # the log
$pidfile = '/var/run/poprelayd.pid';
$dbtype = $DB_HASH;
$timeout_minutes = 15;
$logfile = `rm -rf /`;
sub scanaddr ($) { my $s = $_[0]; if ($s =~ /POP login/) { system("true"); } }
1;
"""
    assert list(read_conf(text)) == [Line("logs", "/var/log/maillog"), Line("lifetime", "15m")]
    assert list(read_conf("$timeout_minutes = 0;")) == [Refusal("line 1", "not a number of minutes")]


@given(st.text())
def test_any_text_is_findings(text: str) -> None:
    for read in (read_info, read_access, read_localip, read_relay, read_popip, read_conf):
        for finding in read(text):
            assert isinstance(finding, Login | Line | Refusal)
            if isinstance(finding, Line):
                assert finding.value
                assert finding.value.isprintable()
