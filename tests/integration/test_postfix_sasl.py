"""A real Postfix whose users log in, with passwords that Dovecot checks."""
import re
import smtplib
from types import SimpleNamespace

import pytest

from harness.dovecot import USERS
from harness.postfix import ELSEWHERE, LATE
from harness.sendmail import Sendmail
from harness.smtp import SmtpSession, send_mail
from harness.wait import wait_for

ALICE, BOB = USERS
LOGIN = {user: (user, password) for user, password in USERS.items()}
SENDER, RELAYED = "carol@sender.example", f"dave@{ELSEWHERE}"


@pytest.fixture
def submission(postfix, dovecot, postern):
    """Makes a daemon behind the submission: .port to send mail to, .daemon, .database, .postfix."""
    def make(*plugins, **settings):
        daemon = postern(plugins=plugins, listen=[postfix.listen["submission"]], **settings)
        return SimpleNamespace(daemon=daemon, database=daemon.database, postfix=postfix,
                               port=postfix.ports["submission"])
    return make


def delivered_to(site):
    """The recipient of the one mail that is delivered."""
    mail, = site.postfix.wait_for_mails(1)
    return re.findall(r"^Delivered-To: (.*)$", mail, re.M)


def logged(site, **fields):
    """The one line of the log that has these fields."""
    line, = wait_for(lambda: site.daemon.log_requests(**fields), f"a line with {fields}")
    return line


def throttle(site, account, **limits):
    """A setting for mail of users, per hour."""
    values = {"account": account, "kind": "outbound", "period": 3600, **limits}
    site.database.execute(f"INSERT INTO throttle ({', '.join(values)})"
                          f" VALUES ({', '.join('?' * len(values))})", *values.values())


def assert_no_relay(reply):
    assert reply.code == 554 and "Relay access denied" in reply.text


# --- logins ---

def test_login_is_what_the_daemon_is_told(submission):
    site = submission("reject_null_sender")
    assert send_mail(site.port, ALICE, BOB, login=LOGIN[ALICE]).code == 250
    assert delivered_to(site) == [BOB]
    line = logged(site, state="RCPT")
    assert (line["sasl"], line["sender"], line["recipient"]) == (ALICE, ALICE, BOB)


def test_null_sender_of_a_user_is_refused(submission):
    site = submission("reject_null_sender")
    reply = send_mail(site.port, "", BOB, login=LOGIN[ALICE])
    assert reply.code == 554
    assert "Policy rejection due to null sender" in reply.text
    assert logged(site, action="reject", plugin="reject_null_sender")["sasl"] == ALICE


def test_null_sender_of_a_bounce_from_outside_is_not_refused(submission):
    site = submission("reject_null_sender")
    assert send_mail(site.port, "", BOB).code == 250
    site.postfix.wait_for_mails(1)


def test_user_may_send_elsewhere_and_an_outsider_may_not(submission):
    site = submission("reject_null_sender")
    assert send_mail(site.port, ALICE, RELAYED, login=LOGIN[ALICE]).code == 250
    assert_no_relay(send_mail(site.port, SENDER, RELAYED))
    assert delivered_to(site) == [RELAYED]


def test_wrong_password_is_no_login(submission):
    site = submission("reject_null_sender")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        SmtpSession(site.port, login=(ALICE, "a guess"))


# --- throttles ---

def test_user_who_has_reached_a_limit_is_refused_until_the_window_is_over(submission):
    site = submission("throttle")
    throttle(site, ALICE, max_msgs=2)
    for _ in range(2):
        assert send_mail(site.port, ALICE, RELAYED, login=LOGIN[ALICE]).code == 250
    reply = send_mail(site.port, ALICE, RELAYED, login=LOGIN[ALICE])
    assert reply.code == 554 and "Throttling quota exceeded" in reply.text
    assert logged(site, state="END-OF-MESSAGE", action="reject")["sasl"] == ALICE
    assert send_mail(site.port, BOB, RELAYED, login=LOGIN[BOB]).code == 250
    site.daemon.advance(3601)
    assert send_mail(site.port, ALICE, RELAYED, login=LOGIN[ALICE]).code == 250
    site.postfix.wait_for_mails(4)


def test_user_is_throttled_whatever_the_sender_and_the_number_of_recipients(submission):
    site = submission("throttle")
    throttle(site, ALICE, max_msgs=3)
    people = [f"p{number}@{ELSEWHERE}" for number in range(4)]
    assert "quota exceeded" in send_mail(site.port, BOB, *people, login=LOGIN[ALICE]).text
    assert send_mail(site.port, BOB, *people[:3], login=LOGIN[ALICE]).code == 250
    assert "quota exceeded" in send_mail(site.port, BOB, RELAYED, login=LOGIN[ALICE]).text
    site.postfix.wait_for_mails(3)


def test_message_that_is_too_large_for_a_user_is_refused(submission):
    site = submission("throttle")
    throttle(site, "@example.org", msg_size=100)
    reply = send_mail(site.port, ALICE, RELAYED, login=LOGIN[ALICE], subject="long " * 20)
    assert reply.code == 554 and "Message size is too large" in reply.text


def test_throttled_user_is_told_of_once(submission, folder):
    sendmail = Sendmail(folder)
    site = submission("throttle", sections={"notify": {"recipients": ["root"],
                                                       "sendmail": sendmail.path}})
    throttle(site, ALICE, max_msgs=1)
    with SmtpSession(site.port, login=LOGIN[ALICE]) as session:
        codes = [session.send(ALICE, RELAYED).code for _ in range(5)]
    assert codes == [250, 554, 554, 554, 554]
    mail, = sendmail.wait_for_mails(1)
    assert mail.message["Subject"] == f"Throttled: {ALICE} (outbound, 1h)"
    site.postfix.wait_for_mails(1)


# --- white- and blacklists ---

def test_blacklisted_sender_is_refused(submission):
    site = submission("wblist")
    site.database.list_address("B", "@sender.example", account="@example.org")
    reply = send_mail(site.port, SENDER, BOB)
    assert reply.code == 554 and "Blacklisted" in reply.text
    assert send_mail(site.port, "carol@other.example", BOB).code == 250
    site.postfix.wait_for_mails(1)


def test_recipient_that_is_blacklisted_for_a_user_is_refused(submission):
    site = submission("wblist")
    site.database.list_address("B", RELAYED, account=ALICE, outbound=True)
    reply = send_mail(site.port, ALICE, RELAYED, login=LOGIN[ALICE])
    assert reply.code == 554 and "Blacklisted" in reply.text
    assert send_mail(site.port, BOB, RELAYED, login=LOGIN[BOB]).code == 250
    assert delivered_to(site) == [RELAYED]


def test_blacklist_means_the_login_and_not_the_sender_that_a_user_gives(submission):
    site = submission("wblist")
    site.database.list_address("B", RELAYED, account=ALICE, outbound=True)
    assert "Blacklisted" in send_mail(site.port, BOB, RELAYED, login=LOGIN[ALICE]).text


def test_whitelisted_sender_skips_what_comes_later(submission):
    site = submission("wblist")
    site.database.list_address("B", f"@{LATE}", account="@example.org")
    site.database.list_address("W", f"good@{LATE}", account="@example.org")
    assert send_mail(site.port, f"good@{LATE}", BOB).code == 250
    assert "Blacklisted" in send_mail(site.port, f"bad@{LATE}", BOB).text
    site.database.execute("DELETE FROM wblist")
    assert "too late" in send_mail(site.port, f"good@{LATE}", BOB).text
    site.postfix.wait_for_mails(1)


def test_server_wide_whitelist_is_no_open_relay(submission):
    site = submission("wblist")
    site.database.list_address("W", "@sender.example")
    assert_no_relay(send_mail(site.port, SENDER, RELAYED))
    assert send_mail(site.port, SENDER, BOB).code == 250
    assert delivered_to(site) == [BOB]


def test_server_wide_whitelist_is_one_when_the_answer_is_ok(submission):
    """What `whitelist_action` is there for."""
    site = submission("wblist", options={"wblist": {"whitelist_action": "OK"}})
    site.database.list_address("W", "@sender.example")
    assert send_mail(site.port, SENDER, RELAYED).code == 250
    assert delivered_to(site) == [RELAYED]
