"""
A real Postfix that forwards mail, with the settings of docs/srs.md: through tcp_table, and
through socketmap over TCP and over a Unix socket.
"""
import shutil
from types import SimpleNamespace

import pytest

from conftest import make_folder
from harness.daemon import give_to_daemon
from harness.ports import free_port
from harness.postfix import Postfix
from harness.smtp import SmtpSession, SmtpSink, send_mail
from harness.srs import DAY, DOMAIN, SECRET, sign, srs_section

SENDER, FRIEND = "alice@sender.example", "friend@outside.example"
FORWARDED = "forward@example.org"  # an alias of FRIEND

MAPS = {
    "tcp_table": ("tcp:{listen_forward}", "tcp:{listen_reverse}"),
    "socketmap": ("socketmap:inet:{listen_socketmap}:forward",
                  "socketmap:inet:{listen_socketmap}:reverse"),
    "socketmap-unix": ("socketmap:{listen_socketmap}:forward",
                       "socketmap:{listen_socketmap}:reverse"),
}

MAIN_CF = """\
sender_canonical_maps = {forward}
sender_canonical_classes = envelope_sender
recipient_canonical_maps = {reverse}
recipient_canonical_classes = envelope_recipient, header_recipient
virtual_alias_domains = {domain}
virtual_alias_maps = inline:{{ {alias}={friend} }}
transport_maps = inline:{{ outside.example=smtp:[127.0.0.1]:{sink}
    sender.example=smtp:[127.0.0.1]:{sink} else.example=smtp:[127.0.0.1]:{sink}
    [127.0.0.1]=smtp:[127.0.0.1]:{sink} }}
"""

MASTER_CF = """\
smtp       unix  - - n - - smtp
127.0.0.1:{port} inet n - n - - smtpd
  -o {{ smtpd_recipient_restrictions = reject_unauth_destination }}
  -o {{ mynetworks = 192.0.2.100 }}
"""


def make_postfix(folder, maps, section, sink_port):
    forward, reverse = (text.format(**section) for text in MAPS[maps])
    port = free_port()
    main_cf = MAIN_CF.format(forward=forward, reverse=reverse, domain=DOMAIN, alias=FORWARDED,
                             friend=FRIEND, sink=sink_port)
    return Postfix(folder, main_cf, MASTER_CF.format(port=port), {"srs": port})


@pytest.fixture(scope="module", params=MAPS)
def site(request):
    """Postfix and the next hop, for all tests with one kind of maps."""
    folder, sink_port = make_folder(), free_port()
    (folder / "srs").mkdir()
    give_to_daemon(folder / "srs")
    section = srs_section()
    if request.param == "socketmap-unix":
        section["listen_socketmap"] = f"unix:{folder}/srs/socketmap"
    sink = SmtpSink(sink_port)
    server = make_postfix(folder, request.param, section, sink_port)
    try:
        server.start()
        yield SimpleNamespace(postfix=server, sink=sink, section=section)
    finally:
        server.stop()
        sink.close()
        shutil.rmtree(folder)


def start(postern, site, **sections):
    site.postfix.clear()
    site.sink.clear()
    daemon = postern(plugins=["reject_null_sender"],
                     sections={"srs": site.section,
                               "directory": {"local_domains": ["example.org"]}, **sections})
    return SimpleNamespace(daemon=daemon, postfix=site.postfix, sink=site.sink,
                           port=site.postfix.ports["srs"])


@pytest.fixture
def mail(site, postern):
    return start(postern, site)


def rewritten(mail, sender=SENDER):
    return sign(sender, mail.daemon.now)


# First in this file, while no process of Postfix has a connection to an earlier test's daemon.
def test_reloads_between_mails_cost_no_lookup(mail):
    with SmtpSession(mail.port) as session:
        for _ in range(10):
            assert session.send(SENDER, FORWARDED).code == 250
            mail.daemon.reload()
    mail.postfix.clear()
    assert [arrived.sender for arrived in mail.sink.mails] == [rewritten(mail)] * 10
    assert "TCP map" not in mail.postfix.log() and "socketmap" not in mail.postfix.log()


def test_forwarded_mail_of_an_outside_sender_has_the_srs_sender(mail):
    assert send_mail(mail.port, SENDER, FORWARDED).code == 250
    arrived = mail.sink.wait_for_mail()
    assert (arrived.sender, arrived.recipients) == (rewritten(mail), [FRIEND])
    assert f"\nFrom: {SENDER}\n" in arrived.text


@pytest.mark.parametrize("sender", ["a+b=c@sender.example", "a=b-c@sender.example",
                                    "o'brien-x_y@sender.example"])
def test_odd_sender_is_rewritten_and_its_bounce_comes_home(mail, sender):
    assert send_mail(mail.port, sender, FORWARDED).code == 250
    address = mail.sink.wait_for_mail().sender
    assert address == rewritten(mail, sender)
    mail.sink.clear()
    assert send_mail(mail.port, "", address).code == 250
    assert mail.sink.wait_for_mail().recipients == [sender]


@pytest.mark.parametrize("sender", ['"a b"@sender.example', '"a..b"@sender.example',
                                    '"a,(b)\\"c\\\\d"@sender.example', "alice@[127.0.0.1]"])
def test_sender_that_needs_quotes_is_rewritten_and_its_bounce_comes_home(mail, sender):
    assert send_mail(mail.port, sender, FORWARDED).code == 250
    address = mail.sink.wait_for_mail().sender
    assert address.startswith('"SRS0=') and address.endswith(f'"@{DOMAIN}')
    mail.sink.clear()
    assert send_mail(mail.port, "", address).code == 250
    assert mail.sink.wait_for_mail().recipients == [sender]


def test_bounce_from_the_next_hop_reaches_the_original_sender(mail):
    assert send_mail(mail.port, "", rewritten(mail)).code == 250
    arrived = mail.sink.wait_for_mail()
    assert (arrived.sender, arrived.recipients) == ("", [SENDER])
    assert f"\nTo: {SENDER}\n" in arrived.text


def test_bounce_to_the_address_in_lower_case_reaches_the_original_sender(mail):
    assert send_mail(mail.port, "", rewritten(mail).lower()).code == 250
    assert mail.sink.wait_for_mail().recipients == [SENDER]


def test_bounce_that_postfix_makes_reaches_the_original_sender(mail):
    mail.sink.refused.add(FRIEND)
    assert send_mail(mail.port, SENDER, FORWARDED).code == 250
    arrived = mail.sink.wait_for_mail()
    assert (arrived.sender, arrived.recipients) == ("", [SENDER])
    assert "no such user" in arrived.text


def test_mail_between_local_users_is_not_rewritten(mail):
    assert send_mail(mail.port, "carol@example.org", "bob@example.org").code == 250
    delivered, = mail.postfix.wait_for_mails(1)
    assert "Return-Path: <carol@example.org>\n" in delivered


def test_forwarded_mail_of_a_local_user_is_not_rewritten(mail):
    assert send_mail(mail.port, "carol@example.org", FORWARDED).code == 250
    assert mail.sink.wait_for_mail().sender == "carol@example.org"


def test_mail_of_the_null_sender_is_not_rewritten(mail):
    assert send_mail(mail.port, "", FORWARDED).code == 250
    assert mail.sink.wait_for_mail().sender == ""


def test_mail_that_was_forwarded_to_us_keeps_its_first_host(mail):
    first = sign(SENDER, mail.daemon.now, secret="another's", domain="else.example")
    assert send_mail(mail.port, first, FORWARDED).code == 250
    address = mail.sink.wait_for_mail().sender
    assert address.startswith("SRS1=") and address.endswith(f"@{DOMAIN}")
    mail.sink.clear()
    assert send_mail(mail.port, "", address).code == 250
    assert mail.sink.wait_for_mail().recipients == [first]


def assert_refused(mail, address):
    reply = send_mail(mail.port, "", address)
    assert reply.code == 550
    assert "User unknown" in reply.text
    assert mail.sink.mails == []


def test_forged_address_is_refused(mail):
    assert_refused(mail, sign(SENDER, mail.daemon.now, secret="another"))
    assert_refused(mail, rewritten(mail).replace("alice", "mallory"))


def test_expired_address_is_refused(mail):
    address = rewritten(mail)
    mail.daemon.advance(20 * DAY)
    assert send_mail(mail.port, "", address).code == 250
    assert mail.sink.wait_for_mail().recipients == [SENDER]
    mail.sink.clear()
    mail.daemon.advance(3 * DAY)
    assert_refused(mail, address)


def test_rotated_secret_leads_old_bounces_home(mail):
    before = rewritten(mail)
    mail.daemon.sections["srs"] = {**mail.daemon.sections["srs"],
                                   "secrets": ["a new secret of the tests", SECRET]}
    mail.daemon.write_config()
    mail.daemon.reload()
    assert send_mail(mail.port, "", before).code == 250
    assert mail.sink.wait_for_mail().recipients == [SENDER]
    mail.sink.clear()
    assert send_mail(mail.port, SENDER, FORWARDED).code == 250
    assert mail.sink.wait_for_mail().sender == \
        sign(SENDER, mail.daemon.now, secret="a new secret of the tests")


def test_without_the_vmail_database_mail_waits_and_bounces_come_home(site, postern):
    vmail = {"driver": "pgsql", "host": "127.0.0.1", "port": free_port(), "user": "vmail",
             "name": "vmail"}
    mail = start(postern, site, **{'database "vmail"': vmail})
    assert send_mail(mail.port, SENDER, FORWARDED).code == 451
    assert send_mail(mail.port, "", rewritten(mail)).code == 250
    assert mail.sink.wait_for_mail().recipients == [SENDER]
