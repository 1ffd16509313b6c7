"""Where the log goes and what its lines look like."""
import json
import os
import re
import signal

import pytest

from harness.policy import end_of_message, rcpt
from harness.wait import wait_for

LOCAL5, MAIL = 21, 2
ERROR, WARNING, INFO = 3, 4, 6


@pytest.fixture
def syslog_daemon(postern, syslog):
    def make(**log):
        return postern(plugins=["reject_null_sender", "greylisting"],
                       log={"target": "syslog", "syslog_socket": syslog.path, **log})
    return make


@pytest.fixture
def daemon(postern):
    return postern(plugins=["reject_null_sender", "greylisting"])


def request_line(daemon, **fields):
    return wait_for(lambda: daemon.log_requests(**fields), f"the line of {fields}")[0]


# --- the line of a request ---

def test_answered_request_is_one_line(daemon):
    daemon.ask(rcpt())
    fields = request_line(daemon, client="192.0.2.7")
    assert list(fields) == ["client", "state", "sender", "recipient", "sasl", "action", "plugin",
                            "reason", "reply", "ms"]
    milliseconds = float(fields.pop("ms"))
    assert milliseconds >= 0
    assert fields == {
        "client": "192.0.2.7", "state": "RCPT", "sender": "alice@sender.example",
        "recipient": "bob@example.org", "sasl": "", "action": "defer", "plugin": "greylisting",
        "reason": "first seen",
        "reply": "451 4.7.1 Intentional policy rejection, please try again later"}


def test_line_begins_with_the_workers_process_id(daemon):
    daemon.ask(rcpt())
    line, = daemon.wait_for_log("state=RCPT")
    pid = re.match(r"posternd\[(\d+)\]: client=", line).group(1)
    assert int(pid) in daemon.workers()


def test_every_request_has_its_line(daemon):
    with daemon.policy() as client:
        for number in range(100):
            client.rcpt(recipient=f"r{number}@example.org")
        client.request(end_of_message())
    wait_for(lambda: len(daemon.log_requests()) == 101, "all lines")
    assert {line["recipient"] for line in daemon.log_requests(state="RCPT")} == {
        f"r{number}@example.org" for number in range(100)}


@pytest.mark.parametrize("seconds, reason", [(0, "too early"), (900, "passed")])
def test_reason_says_why(daemon, seconds, reason):
    daemon.ask(rcpt())
    wait_for(daemon.log_requests, "the first line")  # the next may be another worker's
    daemon.advance(seconds)
    daemon.ask(rcpt())
    wait_for(lambda: len(daemon.log_requests()) == 2, "both lines")
    assert reason in daemon.log_requests()[1]["reason"]


def test_authenticated_user_is_named(daemon):
    daemon.ask(rcpt(sender="", sasl_username="User@Example.org"))
    fields = request_line(daemon, sasl="user@example.org")
    assert (fields["action"], fields["plugin"]) == ("reject", "reject_null_sender")


def test_values_are_quoted_where_they_need_it(daemon):
    daemon.ask(rcpt(sender='"a b"@sender.example', helo_name="x"))
    line, = daemon.wait_for_log("state=RCPT")
    assert r'sender="\"a b\"@sender.example"' in line


# --- JSON ---

def test_json_lines_are_json_and_hold_the_same(postern):
    daemon = postern(plugins=["reject_null_sender", "greylisting"], log={"format": "json"})
    daemon.ask(rcpt())
    fields = request_line(daemon, client="192.0.2.7")
    assert fields["action"] == "defer" and fields["plugin"] == "greylisting"
    assert isinstance(fields["ms"], float)
    daemon.stop()
    lines = [json.loads(line) for line in daemon.log_lines()]
    assert len(lines) >= 3


# --- levels ---

@pytest.mark.parametrize("level, logged", [("debug", True), ("info", True), ("warning", False),
                                           ("error", False)])
def test_requests_are_logged_at_level_info(postern, level, logged):
    daemon = postern(plugins=["reject_null_sender"], log={"level": level})
    daemon.ask(rcpt())
    daemon.stop()
    assert bool(daemon.log_requests()) == logged


@pytest.mark.parametrize("level, logged", [("warning", True), ("error", False)])
def test_protocol_errors_are_logged_at_level_warning(postern, level, logged):
    daemon = postern(plugins=["reject_null_sender"], log={"level": level})
    with daemon.policy() as client:
        client.send(b"nonsense\n\n")
        assert client.is_closed_by_peer()
    daemon.stop()
    assert any("protocol error" in line for line in daemon.log_lines()) == logged


# --- syslog ---

def test_syslog_gets_the_lines(syslog_daemon, syslog):
    daemon = syslog_daemon()
    daemon.ask(rcpt())
    line = syslog.wait_for("state=RCPT")
    assert re.match(rf"<{LOCAL5 * 8 + INFO}>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d posternd\[\d+\]:"
                    r" client=192\.0\.2\.7 state=RCPT ", line)
    assert "\n" not in line.rstrip("\n")
    assert daemon.log_lines() == []


def test_facility_is_that_of_the_config(syslog_daemon, syslog):
    syslog_daemon(facility="mail").ask(rcpt())
    assert syslog.wait_for("state=RCPT").startswith(f"<{MAIL * 8 + INFO}>")


def test_severity_follows_the_level(syslog_daemon, syslog):
    daemon = syslog_daemon()
    with daemon.policy() as client:
        client.send(b"nonsense\n\n")
    assert syslog.wait_for("protocol error").startswith(f"<{LOCAL5 * 8 + WARNING}>")
    os.kill(min(daemon.workers()), signal.SIGKILL)
    assert syslog.wait_for("starting it again").startswith(f"<{LOCAL5 * 8 + ERROR}>")
    daemon.wait_for_workers()


def test_json_goes_to_syslog_too(syslog_daemon, syslog):
    syslog_daemon(format="json").ask(rcpt())
    line = syslog.wait_for('"state"')
    assert json.loads(line.partition("]: ")[2])["state"] == "RCPT"


def test_usr1_reopens_the_log(syslog_daemon, syslog):
    daemon = syslog_daemon()
    daemon.ask(rcpt())
    syslog.wait_for("state=RCPT")
    syslog.close()
    syslog.open()
    daemon.signal(signal.SIGUSR1)

    def arrives():
        daemon.ask(rcpt(recipient="again@example.org"))
        try:
            return b"again@example.org" in syslog.socket.recv(65536)
        except TimeoutError:
            return False
    wait_for(arrives, "lines in the new log")


def test_log_that_nobody_reads_holds_up_no_mail(syslog_daemon, syslog):
    daemon = syslog_daemon()
    with daemon.policy() as client:
        for number in range(2000):
            assert client.rcpt(recipient=f"r{number}@example.org").startswith("451")


def test_missing_syslog_does_not_keep_the_daemon_from_serving(postern, folder):
    daemon = postern(plugins=["reject_null_sender"],
                     log={"target": "syslog", "syslog_socket": folder / "none"})
    assert daemon.ask(rcpt()) == "DUNNO"
