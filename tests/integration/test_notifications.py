"""Mail about throttle counters that have refused mail: once, by one of several hosts, or later."""
import contextlib
import email.utils
import os
import re
import signal
import time

import pytest

from harness.load import at_once
from harness.policy import end_of_message, rcpt
from harness.sendmail import Sendmail, parse_message
from harness.smtp_server import SmtpServer, make_certificate
from harness.wait import wait_for

USER = "user@example.com"
LEASE = 300
SENT, FAILED = "sent a notification", "cannot send a notification"


@pytest.fixture
def sendmail(folder):
    return Sendmail(folder)


@pytest.fixture
def notifier(postern, database, sendmail):
    """Makes a daemon that notifies by the sendmail of the test, unless told otherwise."""
    def make(recipients=("root",), **notify):
        keys = {"recipients": list(recipients), "sendmail": sendmail.path, **notify}
        return postern(database=database, plugins=["reject_null_sender"], workers=1,
                       init=not make.made.append(keys) and len(make.made) == 1,
                       sections={"notify": keys})
    make.made = []
    return make


@pytest.fixture
def smtp(folder):
    """Makes SMTP servers."""
    made, certificate = [], make_certificate(folder)

    def make(**settings):
        made.append(SmtpServer(certificate=certificate, **settings))
        return made[-1]

    make.certificate = certificate[0]
    yield make
    for server in made:
        server.close()


@pytest.fixture
def trusted(smtp, monkeypatch):
    """Servers of smtp() have a certificate that the daemon trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(smtp.certificate))


def add_counter(database, account, when, setting="@example.com", period=3600, mark=None):
    """A counter as it is after a refusal at `when`, or with another mark; its id."""
    if not database.count("throttle", "account = ? AND period = ?", setting, period):
        database.execute("INSERT INTO throttle (account, kind, period, max_msgs, max_quota)"
                         " VALUES (?, 'outbound', ?, 100, 5000000000)", setting, period)
    (tid,), = database.query("SELECT id FROM throttle WHERE account = ? AND period = ?", setting,
                             period)
    database.execute("INSERT INTO throttle_tracking (tid, account, period, cur_msgs, cur_quota,"
                     " init_time, last_time, last_notify_time) VALUES (?, ?, ?, 99, 4294967297,"
                     " ?, ?, ?)", tid, account, period, when - 600, when - 60,
                     -when if mark is None else mark)
    (number,), = database.query("SELECT id FROM throttle_tracking WHERE tid = ? AND account = ?",
                                tid, account)
    return number


def mark_of(database, counter):
    (mark,), = database.query("SELECT last_notify_time FROM throttle_tracking WHERE id = ?", counter)
    return mark


def wait_for_mark(database, counter, mark):
    wait_for(lambda: mark_of(database, counter) == mark, f"the mark {mark}")


def accounts_in(mails):
    return [account for mail in mails
            for account in re.findall(r"^Account: +(.*)$", mail.message.get_content(), re.M)]


def attributes(message):
    """The lines of its text, as a dict."""
    return dict(re.findall(r"^(\w[\w ]*): +(.*?)\r?$", message.get_content(), re.M))


# --- what is sent ---

def test_mail_says_who_what_and_when(notifier, sendmail, database):
    daemon = notifier(recipients=["root", "ops@example.com"])
    add_counter(database, USER, daemon.now)
    mail, = sendmail.wait_for_mails(1)
    utc = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(daemon.now))
    assert attributes(mail.message) == {
        "Account": USER, "Limited by": "@example.com", "Kind": "outbound", "Period": "1h",
        "Messages": "99 of 100", "Bytes": "4294967297 of 5000000000",
        "Counted since": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(daemon.now - 600)),
        "Last counted": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(daemon.now - 60)),
        "Refused": utc}
    assert os.uname().nodename in mail.message.get_content()


def test_mail_has_the_headers_of_a_machine_that_wants_no_answer(notifier, sendmail, database):
    daemon = notifier(recipients=["root", "ops@example.com"])
    add_counter(database, USER, daemon.now)
    mail, = sendmail.wait_for_mails(1)
    headers, host = mail.message, os.uname().nodename
    assert mail.arguments == ["-i", "-f", "<>", "--", "root", "ops@example.com"]
    assert headers["From"] == f"Postern <nobody@{host}>"
    assert headers["To"] == f"root@{host}, ops@example.com"
    assert headers["Subject"] == f"Throttled: {USER} (outbound, 1h)"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert email.utils.parsedate_to_datetime(headers["Date"]).timestamp() == daemon.now
    assert re.fullmatch(rf"<\S+@{re.escape(host)}>", headers["Message-ID"])
    assert not headers.defects and len(headers.keys()) == len(set(headers.keys()))


def test_data_cannot_add_headers_or_lines(notifier, sendmail, database):
    account = "gr\u00fc\u00dfe@example.com\nBcc: victim@example.com\n\nAccount: x\u0007"
    add_counter(database, account, notifier().now)
    mail, = sendmail.wait_for_mails(1)
    escaped = account.replace("\n", "\\n").replace("\u0007", "\\x07")
    assert mail.message["Bcc"] is None
    assert escaped in mail.message["Subject"]
    assert accounts_in([mail]) == [escaped]
    assert mail.raw.isascii()
    assert max(map(len, mail.raw.splitlines())) <= 78


def test_counter_is_told_of_once(notifier, sendmail, database):
    daemon = notifier()
    first = add_counter(database, USER, daemon.now)
    sendmail.wait_for_mails(1)
    wait_for_mark(database, first, daemon.now)
    daemon.advance(10)
    second = add_counter(database, "other@example.com", daemon.now)
    wait_for_mark(database, second, daemon.now)
    assert sorted(accounts_in(sendmail.wait_for_mails(2))) == ["other@example.com", USER]
    assert mark_of(database, first) == daemon.now - 10


def test_counters_found_together_share_a_mail(notifier, sendmail, database):
    daemon = notifier()
    sendmail.set("hold")
    add_counter(database, "first@example.com", daemon.now)
    sendmail.wait_until_held()
    for number in range(3):
        add_counter(database, f"u{number}@example.com", daemon.now)
    sendmail.set()
    mails = sendmail.wait_for_mails(2)
    assert sorted(accounts_in(mails)) == ["first@example.com"] + [
        f"u{number}@example.com" for number in range(3)]
    assert "Throttled: 3 accounts" in [mail.message["Subject"] for mail in mails]


def test_window_that_is_over_is_still_told_of(notifier, sendmail, database):
    daemon = notifier()
    add_counter(database, USER, daemon.now - 86400)
    mail, = sendmail.wait_for_mails(1)
    day_ago = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(daemon.now - 86400))
    assert attributes(mail.message)["Refused"] == day_ago


def test_mail_says_when_its_counts_are_of_a_later_window(notifier, sendmail, database):
    daemon = notifier()
    sendmail.set("fail")
    counter = add_counter(database, USER, daemon.now)
    daemon.wait_for_log(FAILED)
    wait_for_mark(database, counter, -daemon.now)
    daemon.advance(3600)
    sendmail.set()
    database.execute("UPDATE throttle_tracking SET init_time = ? WHERE id = ?", daemon.now - 1,
                     counter)
    mail, = sendmail.wait_for_mails(1)
    assert "next period" in attributes(mail.message)["Note"]


def test_counter_without_a_mark_is_not_told_of(notifier, sendmail, database):
    daemon = notifier()
    quiet = add_counter(database, "quiet@example.com", daemon.now, mark=0)
    told = add_counter(database, "told@example.com", daemon.now, mark=daemon.now - 5)
    add_counter(database, USER, daemon.now)
    assert accounts_in(sendmail.wait_for_mails(1)) == [USER]
    assert (mark_of(database, quiet), mark_of(database, told)) == (0, daemon.now - 5)


# --- who sends ---

def test_limit_that_two_hosts_reach_at_once_is_told_of_once(postern, database, sendmail):
    """1024 messages through 64 connections, 100 of which may pass."""
    notify = {"notify": {"recipients": ["root"], "sendmail": sendmail.path}}
    daemons = [postern(plugins=["throttle"], database=database, init=number == 0, sections=notify,
                       cache_ttl="1h") for number in range(2)]
    database.execute("INSERT INTO throttle (account, kind, period, max_msgs, shared)"
                     " VALUES ('@.', 'external', 3600, 100, 1)")

    def send(number):
        with daemons[number % 2].policy() as client:
            return [client.request(end_of_message(instance=f"{number}.{serial}"))
                    for serial in range(16)]

    answers = [answer for some in at_once(64, send) for answer in some]
    assert answers.count("DUNNO") == 100
    assert answers.count("REJECT Throttling quota exceeded") == len(answers) - 100
    mail, = sendmail.wait_for_mails(1)
    assert attributes(mail.message)["Messages"] == "100 of 100"
    wait_for(lambda: database.count("throttle_tracking", "last_notify_time > 0"), "the mark")
    for daemon in daemons:
        daemon.stop()
    assert accounts_in(sendmail.wait_for_mails(1)) == ["@."]


def test_two_hosts_on_one_database_tell_of_each_counter_once(notifier, sendmail, database):
    daemons = [notifier(), notifier()]
    numbers = [add_counter(database, f"u{number}@example.com", daemons[0].now)
               for number in range(60)]
    wait_for(lambda: database.count("throttle_tracking", "last_notify_time > 0") == len(numbers),
             "all counters to be told of")
    told = accounts_in(sendmail.mails())
    assert sorted(told) == sorted(f"u{number}@example.com" for number in range(60))
    assert not any(FAILED in daemon.stderr_text() for daemon in daemons)


def test_host_without_recipients_leaves_it_to_the_others(notifier, sendmail, database):
    silent = notifier(recipients=[])
    add_counter(database, USER, silent.now)
    other = notifier(recipients=["root"])
    sendmail.wait_for_mails(1)
    assert SENT not in silent.stderr_text()
    other.wait_for_log(SENT)


def test_housekeeper_that_dies_with_a_mail_leaves_it_to_the_next(notifier, sendmail, database):
    daemon = notifier()
    sendmail.set("hold")
    counter = add_counter(database, USER, daemon.now)
    sendmail.wait_until_held()
    assert mark_of(database, counter) == -(daemon.now + LEASE)
    os.kill(daemon.housekeeper(), signal.SIGKILL)
    sendmail.set("lose")
    daemon.advance(LEASE)
    daemon.wait_for_log(FAILED)
    sendmail.set()
    daemon.advance(60)
    assert accounts_in(sendmail.wait_for_mails(1)) == [USER]
    wait_for_mark(database, counter, daemon.now)


def test_stop_waits_for_a_mail_under_way(notifier, sendmail, database):
    daemon = notifier()
    sendmail.set("hold")
    counter = add_counter(database, USER, daemon.now)
    sendmail.wait_until_held()
    daemon.children()
    daemon.signal(signal.SIGTERM)
    wait_for(lambda: not daemon.workers(), "the workers to end")
    sendmail.set()
    assert daemon.process.wait(30) == 0
    assert mark_of(database, counter) == daemon.now
    assert accounts_in(sendmail.mails()) == [USER]


def test_stop_does_not_wait_for_ever(notifier, sendmail, database):
    daemon = notifier()
    sendmail.set("hold")
    counter = add_counter(database, USER, daemon.now)
    sendmail.wait_until_held()
    daemon.stop()
    assert mark_of(database, counter) == -(daemon.now + LEASE)
    sendmail.set("lose")


# --- what fails ---

def test_mail_that_cannot_be_sent_is_logged_and_tried_again_later_each_time(notifier, sendmail,
                                                                            database):
    daemon = notifier()
    sendmail.set("fail")
    counter = add_counter(database, USER, daemon.now)
    line, = daemon.wait_for_log(FAILED)
    assert f"{sendmail.path} ended with status 75: the queue is full; trying again in 1m" in line
    refused = daemon.now
    wait_for_mark(database, counter, -refused)
    daemon.advance(60)
    assert "trying again in 2m" in daemon.wait_for_log(FAILED, 2)[1]
    wait_for_mark(database, counter, -refused)
    sendmail.set()
    daemon.advance(120)
    mail, = sendmail.wait_for_mails(1)
    assert attributes(mail.message)["Refused"] == time.strftime("%Y-%m-%d %H:%M:%S UTC",
                                                                time.gmtime(refused))
    wait_for_mark(database, counter, daemon.now)
    assert len(daemon.wait_for_log(FAILED)) == 2


def test_sendmail_that_is_missing_is_named(notifier, database, folder):
    daemon = notifier(sendmail=folder / "nowhere")
    add_counter(database, USER, daemon.now)
    line, = daemon.wait_for_log(FAILED)
    assert f"cannot run {folder / 'nowhere'}: No such file" in line


def test_database_that_cannot_be_asked_is_logged_once(notifier, sendmail, database):
    daemon = notifier()
    database.execute("ALTER TABLE throttle_tracking RENAME TO away")
    failed = {"database": "iredapd", "result": "failed"}
    wait_for(lambda: daemon.metrics().sum("postern_db_queries_total", **failed) >= 2,
             "two rounds in vain")
    assert len(daemon.wait_for_log("cannot look for notifications")) == 1
    database.execute("ALTER TABLE away RENAME TO throttle_tracking")
    add_counter(database, USER, daemon.now)
    sendmail.wait_for_mails(1)


def assert_all_else_goes_on(daemon):
    """Requests, and the endpoint, which is the housekeeper's own."""
    with daemon.policy() as client:
        for number in range(200):
            assert client.rcpt(instance=str(number)) == "DUNNO"
    assert daemon.metrics().sum("postern_requests_total", state="RCPT") > 0


def test_slow_sendmail_holds_up_nothing_else(notifier, sendmail, database):
    daemon = notifier()
    sendmail.set("hold")
    add_counter(database, USER, daemon.now)
    sendmail.wait_until_held()
    assert_all_else_goes_on(daemon)
    assert sendmail.mails() == []
    sendmail.set()
    sendmail.wait_for_mails(1)


@pytest.mark.parametrize("place", ["connect", "data"])
def test_smtp_server_that_falls_silent_holds_up_nothing_else(notifier, database, smtp, place):
    server = smtp(stall=place)
    daemon = notifier(smtp_url=f"smtp://localhost:{server.port}")
    counter = add_counter(database, USER, daemon.now)
    assert server.stalled.wait(30)
    assert_all_else_goes_on(daemon)
    assert mark_of(database, counter) == -(daemon.now + LEASE)
    assert server.received == []


# --- SMTP ---

@pytest.mark.parametrize("tls, scheme", [("starttls", "smtp"), ("smtps", "smtps")])
def test_smtp_with_a_login_is_encrypted(notifier, database, smtp, trusted, folder, tls, scheme):
    server = smtp(tls=tls, users={"user@example.com": "s3cret:/@"})
    (folder / "password").write_text("s3cret:/@\n")
    daemon = notifier(recipients=["root", "ops@example.com"],
                      smtp_url=f"{scheme}://user%40example.com@localhost:{server.port}",
                      smtp_password_file=folder / "password")
    counter = add_counter(database, USER, daemon.now)
    mail, = server.wait_for_mails(1)
    assert (mail.sender, mail.recipients) == ("", ["root", "ops@example.com"])
    assert (mail.login, mail.tls) == ("user@example.com", True)
    assert mail.data.replace(b"\r\n", b"").find(b"\n") == -1
    assert attributes(parse_message(mail.data))["Account"] == USER
    wait_for_mark(database, counter, daemon.now)
    add_counter(database, "second@example.com", daemon.now)
    server.wait_for_mails(2)


def test_password_may_be_in_the_url(notifier, database, smtp, trusted):
    server = smtp(tls="starttls", users={"user": "p@ss"})
    daemon = notifier(smtp_url=f"smtp://user:p%40ss@localhost:{server.port}")
    add_counter(database, USER, daemon.now)
    mail, = server.wait_for_mails(1)
    assert server.logins == [("user", "p@ss", True)]


def test_wrong_password_is_logged_in_the_words_of_the_server(notifier, database, smtp, trusted):
    server = smtp(tls="starttls", users={"user": "right"})
    daemon = notifier(smtp_url=f"smtp://user:wrong@localhost:{server.port}")
    counter = add_counter(database, USER, daemon.now)
    line, = daemon.wait_for_log(FAILED)
    assert "535 5.7.8 wrong password" in line and "user:wrong" not in line
    wait_for_mark(database, counter, -daemon.now)
    server.users["user"] = "wrong"
    daemon.advance(60)
    server.wait_for_mails(1)


def test_password_is_not_sent_without_tls(notifier, database, smtp, trusted):
    server = smtp(users={"user": "secret"})
    daemon = notifier(smtp_url=f"smtp://user:secret@localhost:{server.port}")
    add_counter(database, USER, daemon.now)
    daemon.wait_for_log(FAILED)
    assert (server.logins, server.received) == ([], [])


def test_password_is_not_sent_to_a_server_that_is_not_trusted(notifier, database, smtp):
    server = smtp(tls="starttls", users={"user": "secret"})
    daemon = notifier(smtp_url=f"smtp://user:secret@localhost:{server.port}")
    add_counter(database, USER, daemon.now)
    line, = daemon.wait_for_log(FAILED)
    assert "certificate" in line
    assert (server.logins, server.received) == ([], [])


def test_smtp_without_a_login_takes_any_certificate(notifier, database, smtp):
    server = smtp(tls="starttls")
    daemon = notifier(smtp_url=f"smtp://127.0.0.1:{server.port}")
    add_counter(database, USER, daemon.now)
    mail, = server.wait_for_mails(1)
    assert mail.tls


def test_refused_recipient_does_not_keep_the_mail_from_the_others(notifier, database, smtp):
    server = smtp(unknown=["gone@example.com"])
    daemon = notifier(recipients=["gone@example.com", "ops@example.com"],
                      smtp_url=f"smtp://127.0.0.1:{server.port}")
    counter = add_counter(database, USER, daemon.now)
    mail, = server.wait_for_mails(1)
    assert mail.recipients == ["ops@example.com"]
    wait_for(lambda: server.quits == 1, "the end of the session")
    daemon.wait_for_log("550 5.1.1 <gone@example.com> is unknown")
    wait_for_mark(database, counter, daemon.now)


def test_smtp_server_that_is_down_is_tried_again_later(notifier, database, smtp):
    server = smtp()
    port = server.port
    server.close()
    daemon = notifier(smtp_url=f"smtp://127.0.0.1:{port}")
    counter = add_counter(database, USER, daemon.now)
    line, = daemon.wait_for_log(FAILED)
    assert "127.0.0.1: " in line and "trying again in 1m" in line
    wait_for_mark(database, counter, -daemon.now)


# --- real mail systems ---

@pytest.fixture
def delivered(postfix, postern):
    """Makes a daemon that notifies bob of example.org, and returns the mail that Postfix delivers."""
    def run(**settings):
        notify = {"recipients": ["bob@example.org"], **settings.pop("notify")}
        daemon = postern(plugins=["reject_null_sender"], listen=[postfix.listen["tcp"]],
                         sections={"notify": notify}, **settings)
        counter = add_counter(daemon.database, USER, daemon.now)
        mail, = postfix.wait_for_mails(1)
        wait_for_mark(daemon.database, counter, daemon.now)
        return parse_message(mail.encode())
    return run


def test_postfix_delivers_what_it_gets_by_smtp(delivered, postfix):
    mail = delivered(notify={"smtp_url": f"smtp://127.0.0.1:{postfix.ports['tcp']}"})
    assert mail["Return-Path"] == "<>"
    assert mail["Subject"] == f"Throttled: {USER} (outbound, 1h)"
    assert attributes(mail)["Account"] == USER


def test_postfix_delivers_what_its_sendmail_gets(delivered, postfix, folder):
    """As root, whom alone Postfix lets use another than the system's configuration."""
    program = folder / "sendmail"
    program.write_text(f'#!/bin/sh\nexec /usr/sbin/sendmail -C {postfix.folder}/etc "$@"\n')
    program.chmod(0o755)
    mail = delivered(notify={"sendmail": program}, user="root", group="root")
    assert mail["Return-Path"] == "<>"
    assert mail["Subject"] == f"Throttled: {USER} (outbound, 1h)"
    assert attributes(mail)["Account"] == USER


# --- the configuration ---

@pytest.mark.parametrize("keys, expected", [
    ({"smtp_url": "mail.example.com"}, "smtp_url: expected a URL"),
    ({"smtp_url": "http://user:hush@mail.example.com"}, "smtp_url: expected a URL"),
    ({"smtp_url": "smtp://user:hush@mail.example.com:99999"}, "smtp_url: expected a URL"),
    ({"smtp_url": "smtp://user:hush@mail.example.com/path"}, "smtp_url: expected a URL"),
    ({"smtp_url": "smtp://user:hush@"}, "smtp_url: expected a URL"),
    ({"smtp_url": "smtp://u@h", "smtp_password_file": "/nowhere"}, "cannot read /nowhere"),
    ({"smtp_url": "smtp://h", "smtp_password_file": "/nowhere"}, "a user and no password"),
    ({"smtp_url": "smtp://u:hush@h", "smtp_password_file": "/nowhere"}, "a user and no password"),
    ({"smtp_password_file": "/nowhere"}, "a user and no password"),
    ({"sendmail": "sendmail"}, "sendmail: expected the path"),
    ({"recipients": ["-oQ/tmp"]}, "recipients: expected a mail address"),
    ({"recipients": ["a@b, c@d"]}, "recipients: expected a mail address"),
    ({"recipients": ["root", ""]}, "recipients: expected a mail address")])
def test_bad_setting_names_file_and_line_and_no_password(postern, keys, expected):
    daemon = postern(start=False, init=False, sections={"notify": keys})
    done = daemon.run("-t", "-c", daemon.config)
    assert done.returncode == 1
    line, = done.stderr.splitlines()
    assert re.match(re.escape(f"posternd: {daemon.config}:") + r"\d+: ", line), line
    assert expected in line and "hush" not in line
