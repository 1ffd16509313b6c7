"""A real Postfix that asks posternd, over TCP and over a Unix socket."""
import threading
from types import SimpleNamespace

import pytest

from harness.load import at_once
from harness.smtp import LOOPBACK, SmtpSession, send_mail
from harness.wait import wait_for

SENDER, RECIPIENT = "alice@sender.example", "bob@example.org"
BLOCK = 15 * 60


@pytest.fixture(params=["tcp", "unix"])
def mail(request, postfix, postern):
    """Postfix with a daemon that answers it: .port to send mail to, .daemon, .postfix."""
    daemon = postern(plugins=["reject_null_sender", "greylisting"],
                     listen=[postfix.listen[request.param]])
    return SimpleNamespace(daemon=daemon, postfix=postfix, port=postfix.ports[request.param])


@pytest.fixture
def known_client(mail):
    """The same, once the client that tests send from has passed greylisting."""
    assert send_mail(mail.port, SENDER, RECIPIENT).code == 451
    mail.daemon.advance(BLOCK)
    assert send_mail(mail.port, SENDER, RECIPIENT).code == 250
    mail.postfix.wait_for_mails(1)
    mail.postfix.clear()
    return mail


def assert_greylisted(reply):
    assert reply.code == 451
    assert reply.text.startswith("4.7.1 ")
    assert "Intentional policy rejection, please try again later" in reply.text


def test_new_sender_is_told_to_come_back(mail):
    assert_greylisted(send_mail(mail.port, SENDER, RECIPIENT))
    assert mail.postfix.mails() == []


def test_same_mail_too_early_is_told_so_again(mail):
    assert_greylisted(send_mail(mail.port, SENDER, RECIPIENT))
    mail.daemon.advance(BLOCK - 1)
    assert_greylisted(send_mail(mail.port, SENDER, RECIPIENT))


def test_same_mail_later_is_delivered(mail):
    assert_greylisted(send_mail(mail.port, SENDER, RECIPIENT, subject="early"))
    mail.daemon.advance(BLOCK)
    assert send_mail(mail.port, SENDER, RECIPIENT, subject="in time").code == 250
    delivered, = mail.postfix.wait_for_mails(1)
    assert "Subject: in time\n" in delivered
    assert f"Delivered-To: {RECIPIENT}\n" in delivered


def test_another_message_from_the_same_client_is_delivered(known_client):
    assert send_mail(known_client.port, "carol@else.example", "dave@example.org").code == 250
    delivered, = known_client.postfix.wait_for_mails(1)
    assert "Delivered-To: dave@example.org\n" in delivered


def test_another_client_is_still_greylisted(known_client):
    assert_greylisted(send_mail(known_client.port, SENDER, RECIPIENT, client="192.0.2.8"))


def test_mail_from_loopback_is_not_greylisted(mail):
    assert send_mail(mail.port, SENDER, RECIPIENT, client=LOOPBACK).code == 250
    mail.postfix.wait_for_mails(1)


def test_mail_from_an_ipv6_client_is_greylisted(mail):
    client = "IPV6:2001:db8::7"
    assert_greylisted(send_mail(mail.port, SENDER, RECIPIENT, client=client))
    mail.daemon.advance(BLOCK)
    assert send_mail(mail.port, SENDER, RECIPIENT, client=client).code == 250
    mail.postfix.wait_for_mails(1)


def test_null_sender_of_a_bounce_is_greylisted_and_then_delivered(mail):
    assert_greylisted(send_mail(mail.port, "", RECIPIENT))
    mail.daemon.advance(BLOCK)
    assert send_mail(mail.port, "", RECIPIENT).code == 250
    mail.postfix.wait_for_mails(1)


def test_both_restrictions_are_asked_for_a_message(known_client):
    before = known_client.daemon.metrics()
    recipients = [f"user{number}@example.org" for number in range(3)]
    assert send_mail(known_client.port, SENDER, *recipients).code == 250
    for state, asked in ("RCPT", 3), ("END-OF-MESSAGE", 1):
        expected = before.sum("postern_requests_total", state=state) + asked
        known_client.daemon.wait_for_metric(expected, "postern_requests_total", state=state)
    known_client.postfix.wait_for_mails(3)


def test_twenty_sessions_at_once_are_greylisted_and_then_delivered(mail):
    def send(number):
        return send_mail(mail.port, f"s{number}@sender.example", f"r{number}@example.org",
                         client=f"192.0.2.{number + 1}")

    for reply in at_once(20, send):
        assert_greylisted(reply)
    mail.daemon.advance(BLOCK)
    assert [reply.code for reply in at_once(20, send)] == [250] * 20
    delivered = mail.postfix.wait_for_mails(20)
    for number in range(20):
        assert any(f"Delivered-To: r{number}@example.org\n" in text for text in delivered)


def test_many_messages_in_one_session_are_delivered(known_client):
    with SmtpSession(known_client.port) as session:
        replies = [session.send(SENDER, f"r{number}@example.org").code for number in range(30)]
    assert replies == [250] * 30
    known_client.postfix.wait_for_mails(30)


class MailLoad:
    """Sessions that send one message after another until stopped."""

    def __init__(self, port, sessions):
        self.port, self.stopping, self.replies = port, threading.Event(), []
        self.threads = [threading.Thread(target=self._run) for _ in range(sessions)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def _run(self):
        try:
            with SmtpSession(self.port) as session:
                while not self.stopping.is_set():
                    self.replies.append(session.send(SENDER, RECIPIENT))
        except Exception as error:
            self.replies.append(error)

    def wait_for_more(self, count):
        goal = len(self.replies) + count
        wait_for(lambda: len(self.replies) >= goal, f"{count} more messages")


def assert_all_delivered(mail, replies):
    assert [reply for reply in replies if getattr(reply, "code", None) != 250] == []
    mail.postfix.wait_for_mails(len(replies))


def test_kill_9_of_workers_loses_no_mail(known_client):
    daemon = known_client.daemon
    with MailLoad(known_client.port, sessions=6) as load:
        for _ in range(4):
            load.wait_for_more(10)
            daemon.kill_worker()
        load.wait_for_more(10)
    assert_all_delivered(known_client, load.replies)


def test_reloads_lose_no_mail(known_client):
    daemon = known_client.daemon
    with MailLoad(known_client.port, sessions=6) as load:
        for _ in range(10):
            load.wait_for_more(5)
            daemon.reload()
    assert_all_delivered(known_client, load.replies)


def test_restart_of_the_daemon_loses_no_mail(known_client):
    daemon = known_client.daemon
    with MailLoad(known_client.port, sessions=4) as load:
        load.wait_for_more(10)
        daemon.stop()
        daemon.start()
        load.wait_for_more(10)
    assert all(getattr(reply, "code", None) in (250, 451) for reply in load.replies)
    assert load.replies[-1].code == 250
