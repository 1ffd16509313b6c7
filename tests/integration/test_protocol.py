"""What clients may send, and that nobody else pays for what they should not."""
import random
import resource
import socket
import threading

import pytest

from harness.load import at_once
from harness.connection import ConnectionClosed
from harness.policy import encode, end_of_message, rcpt
from harness.ports import free_port
from harness.wait import wait_for

REJECTED = "REJECT Policy rejection due to null sender"
NULL_SENDER = {"sender": "", "sasl_username": "user@example.org", "client_address": "192.0.2.9"}
LINE_LIMIT, LINES = 8192, 256


@pytest.fixture(scope="module")
def daemon(shared_postern):
    return shared_postern(plugins=["reject_null_sender"])


@pytest.fixture
def client(daemon):
    with daemon.policy() as connection:
        yield connection


def protocol_errors(daemon):
    return daemon.metrics().sum("postern_protocol_errors_total")


def assert_refused(daemon, data):
    """data is a protocol error: the connection is closed without a reply, counted, logged."""
    errors, lines = protocol_errors(daemon), len(daemon.log_lines())
    with daemon.policy() as client:
        try:
            client.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed before all of it was sent
        assert client.is_closed_by_peer()
    wait_for(lambda: protocol_errors(daemon) == errors + 1, "the error to be counted")
    wait_for(lambda: len(daemon.log_lines()) > lines, "the error to be logged")
    assert daemon.ask(rcpt()) == "DUNNO"


# --- requests ---

def test_request_is_answered(client):
    assert client.request(rcpt()) == "DUNNO"


def test_many_requests_are_answered_on_one_connection(client):
    for number in range(200):
        expected = REJECTED if number % 3 == 0 else "DUNNO"
        assert client.request(rcpt(**(NULL_SENDER if number % 3 == 0 else {}))) == expected


def test_unknown_attributes_are_ignored(client):
    assert client.request({**rcpt(**NULL_SENDER), "colour": "red", "x": ""}) == REJECTED


def test_attributes_may_be_missing_or_empty(client):
    assert client.request({"request": "smtpd_access_policy"}) == "DUNNO"
    assert client.request({"request": "smtpd_access_policy", "protocol_state": "RCPT"}) == "DUNNO"
    assert client.request({**dict.fromkeys(rcpt(), ""), "request": "smtpd_access_policy",
                           "protocol_state": "RCPT"}) == "DUNNO"


def test_order_of_attributes_does_not_matter(client):
    items = list(rcpt(**NULL_SENDER).items())
    random.Random(1).shuffle(items)
    assert client.request(dict(items)) == REJECTED


def test_value_may_hold_an_equals_sign(client):
    assert client.request(rcpt(helo_name="a=b=c", **NULL_SENDER)) == REJECTED


@pytest.mark.parametrize("state", ["CONNECT", "EHLO", "HELO", "MAIL", "DATA", "VRFY", "ETRN",
                                   "END-OF-MESSAGE", "NEW-IN-POSTFIX-9"])
def test_state_that_no_plugin_handles_is_answered_dunno_without_a_lookup(postern, state):
    daemon = postern(plugins=["greylisting"])
    before = daemon.metrics().sum("postern_db_queries_total")
    assert daemon.ask(rcpt(protocol_state=state)) == "DUNNO"
    assert daemon.metrics().sum("postern_db_queries_total") == before


def test_pipelined_requests_are_answered_in_order(client):
    requests = [NULL_SENDER if number % 3 else {} for number in range(300)]
    client.send(b"".join(encode(rcpt(**attributes)) for attributes in requests))
    assert [client.read_action() for _ in requests] == [
        REJECTED if attributes else "DUNNO" for attributes in requests]


def test_requests_cut_at_any_byte_are_answered(daemon):
    data = encode(rcpt(**NULL_SENDER))
    for cut in range(1, len(data)):
        with daemon.policy() as client:
            client.send(data[:cut])
            client.send(data[cut:])
            assert client.read_action() == REJECTED


def test_request_and_half_of_the_next_are_answered_in_their_time(client):
    data = encode(rcpt(**NULL_SENDER))
    client.send(data + data[:100])
    assert client.read_action() == REJECTED
    client.send(data[100:])
    assert client.read_action() == REJECTED


def test_unix_sockets_and_ipv6_are_served(postern, folder):
    listen = [f"unix:{folder}/socket"]
    if socket.has_ipv6:
        listen.append(f"[::1]:{free_port()}")
    daemon = postern(plugins=["reject_null_sender"], listen=listen)
    for number in range(len(listen)):
        with daemon.policy(number) as client:
            assert client.rcpt(**NULL_SENDER) == REJECTED


# --- limits ---

def padded(lines):
    """A request of that many attribute lines."""
    request = rcpt(**NULL_SENDER)
    for number in range(lines - len(request)):
        request[f"unknown_{number}"] = "x"
    return request


def line_of(length):
    return {**rcpt(**NULL_SENDER), "helo_name": "x" * (length - len("helo_name="))}


def test_request_at_the_limits_is_answered(client):
    assert client.request(padded(LINES)) == REJECTED
    assert client.request(line_of(LINE_LIMIT)) == REJECTED


def test_too_many_lines_are_refused(daemon):
    assert_refused(daemon, encode(padded(300)))


def test_too_long_a_line_is_refused(daemon):
    assert_refused(daemon, encode(line_of(9 * 1024)))


def test_a_megabyte_without_a_newline_is_refused(daemon):
    assert_refused(daemon, b"x" * 1024 * 1024)


def test_long_line_is_refused_before_its_end(daemon):
    assert_refused(daemon, encode(rcpt())[:-1] + b"helo_name=" + b"x" * LINE_LIMIT)


# --- what is no request ---

@pytest.mark.parametrize("request_line", [None, "", "something_else", "SMTPD_ACCESS_POLICY"])
def test_other_requests_are_refused(daemon, request_line):
    attributes = rcpt()
    del attributes["request"]
    if request_line is not None:
        attributes["request"] = request_line
    assert_refused(daemon, encode(attributes))


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"EHLO mx.example.org\n\n", b"\n", b"\n\n\n",
    bytes(range(1, 256)) + b"\n\n", random.Random(2).randbytes(5000) + b"\n\n"],
    ids=["HTTP", "SMTP", "empty line", "empty lines", "every byte", "random"])
def test_garbage_is_refused(daemon, data):
    assert_refused(daemon, data)


@pytest.mark.parametrize("data", [b"\0", b"\0" * 100000, b"request=smtpd_access\0_policy\n\n"])
def test_nul_bytes_cost_nobody_anything(daemon, data):
    with daemon.policy() as other, daemon.policy() as client:
        client.send(data)
        assert other.rcpt(**NULL_SENDER) == REJECTED
    assert daemon.ask(rcpt()) == "DUNNO"


def test_nul_bytes_in_values_cut_no_request_in_two(daemon):
    data = encode({**rcpt(**NULL_SENDER), "helo_name": b"a\0b\0\0"})
    with daemon.policy() as client:
        client.send(data)
        try:
            assert client.read_action() == REJECTED
        except ConnectionClosed:
            pass  # refusing it is fine, too
    assert daemon.ask(rcpt()) == "DUNNO"


def test_client_that_leaves_inside_a_request_costs_nobody_anything(daemon):
    data = encode(rcpt())
    with daemon.policy() as other:
        for cut in range(1, len(data), 7):
            with daemon.policy() as client:
                client.send(data[:cut])
            assert other.rcpt(**NULL_SENDER) == REJECTED
    wait_for(lambda: daemon.metrics().sum("postern_connections") == 0, "the connections to end")


def test_client_that_leaves_without_reading_its_answers_costs_nobody_anything(daemon):
    data = encode(rcpt()) * 2000
    with daemon.policy() as other:
        for _ in range(5):
            with daemon.policy() as client:
                client.socket.setblocking(False)
                try:
                    client.socket.send(data)
                except BlockingIOError:
                    pass
            assert other.rcpt(**NULL_SENDER) == REJECTED


def test_client_that_never_reads_does_not_hold_up_others(daemon):
    with daemon.policy() as deaf:
        deaf.socket.setblocking(False)
        data = encode(rcpt(**NULL_SENDER)) * 100
        for _ in range(1000):
            try:
                deaf.socket.send(data)
            except BlockingIOError:
                break
        for _ in range(50):
            assert daemon.ask(rcpt(**NULL_SENDER)) == REJECTED


def test_client_that_pipelines_thousands_of_requests_does_not_hold_up_others(postern):
    daemon = postern(plugins=["reject_null_sender"], workers=1)
    many = 15000
    with daemon.policy() as other, daemon.policy() as greedy:
        other.rcpt()
        sender = threading.Thread(
            target=greedy.send, args=(b"request=smtpd_access_policy\n\n" * many,))
        sender.start()
        greedy.read_action()
        other.rcpt(sender="patient@sender.example")
        for _ in range(many - 1):
            greedy.read_action()
        sender.join()
    lines = daemon.log_requests()
    turn, = [number for number, line in enumerate(lines)
             if line["sender"] == "patient@sender.example"]
    assert turn < many * 3 / 4


def test_client_of_one_byte_at_a_time_is_answered_and_holds_nobody_up(daemon):
    with daemon.policy() as slow, daemon.policy() as quick:
        for byte in encode(rcpt(**NULL_SENDER)):
            slow.send(bytes([byte]))
            assert quick.rcpt(**NULL_SENDER) == REJECTED
        assert slow.read_action() == REJECTED


def test_client_that_stalls_inside_a_request_is_closed_and_an_idle_one_is_not(daemon):
    with daemon.policy() as stalled, daemon.policy() as idle:
        assert idle.rcpt() == "DUNNO"
        stalled.send(encode(rcpt())[:50])
        assert stalled.is_closed_by_peer()
        assert idle.rcpt(**NULL_SENDER) == REJECTED


# --- many connections ---

@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_connections_are_all_answered(daemon, many_files):
    clients = [daemon.policy() for _ in range(1000)]
    for client in clients:
        client.send(encode(rcpt(**NULL_SENDER)))
    assert {client.read_action() for client in clients} == {REJECTED}
    assert daemon.metrics().sum("postern_connections") == 1000
    for client in clients:
        client.close()
    wait_for(lambda: daemon.metrics().sum("postern_connections") == 0, "the connections to end")


def test_clients_over_max_connections_wait_for_their_turn(postern):
    daemon = postern(plugins=["reject_null_sender"], workers=1, max_connections=10)
    clients = [daemon.policy() for _ in range(10)]
    for client in clients:
        assert client.rcpt() == "DUNNO"
    with daemon.policy() as late:
        late.send(encode(rcpt(**NULL_SENDER)))
        assert {client.rcpt() for client in clients} == {"DUNNO"}
        clients.pop().close()
        assert late.read_action() == REJECTED
    for client in clients:
        client.close()


def test_clients_at_once_get_each_their_own_answers(daemon):
    def ask(number):
        attributes = NULL_SENDER if number % 2 else {}
        with daemon.policy() as client:
            return {client.rcpt(**attributes) for _ in range(50)}

    answers = at_once(32, ask)
    assert answers == [{REJECTED} if number % 2 else {"DUNNO"} for number in range(32)]


# --- the log ---

EVIL = b'\x01\x1b[2J\x07\r\x7f\xc2\x85\xff "quoted\\" reply="250 OK'


@pytest.fixture(scope="module", params=["text", "json"])
def logging_daemon(request, shared_postern):
    return shared_postern(plugins=["reject_null_sender"], log={"format": request.param})


@pytest.mark.parametrize("attribute", sorted(rcpt().keys() - {"request"}))
def test_attributes_cannot_write_to_the_log_what_is_not_so(logging_daemon, attribute):
    daemon = logging_daemon
    lines = len(daemon.log_lines())
    with daemon.policy() as client:
        client.request({**rcpt(), attribute: EVIL})
        client.request(end_of_message(**{attribute: EVIL}))
    wait_for(lambda: len(daemon.log_lines()) >= lines + 2, "the lines of both requests")
    text = daemon.stderr.read_bytes()
    assert not [byte for byte in text if (byte < 0x20 and byte != 0x0a) or byte == 0x7f]
    text.decode()  # valid UTF-8
    assert b"\xc2\x85" not in text  # a control character, too
    for fields in daemon.log_requests():
        assert not fields["reply"].startswith("250"), fields


def test_client_that_sends_nothing_is_no_protocol_error(daemon):
    before = protocol_errors(daemon)
    daemon.policy().close()
    assert daemon.ask(rcpt()) == "DUNNO"
    assert protocol_errors(daemon) == before
