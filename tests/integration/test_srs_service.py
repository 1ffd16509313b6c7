"""The SRS services: lookups over tcp_table and socketmap, and what clients may send there."""
import contextlib
import random
import signal
import subprocess
import threading

import pytest

from harness.daemon import give_to_daemon
from harness.load import Load, at_once
from harness.policy import rcpt
from harness.ports import free_port
from harness.srs import DAY, DOMAIN, SECRET, connect, netstring, sign, srs_section
from harness.wait import wait_for

SENDER = "alice@sender.example"
SERVICES = ["tcp_table", "socketmap"]
PORTS = [("tcp_table", "forward"), ("tcp_table", "reverse"), ("socketmap", "forward")]


def start(postern, srs=None, sections=None, **settings):
    """A daemon with all services, and example.org hosted here."""
    return postern(plugins=["reject_null_sender"],
                   sections={"srs": srs_section(**(srs or {})),
                             "directory": {"local_domains": ["example.org"]}, **(sections or {})},
                   **settings)


@pytest.fixture(scope="module")
def daemon(shared_postern):
    return start(shared_postern, log={"level": "debug"})


@pytest.fixture(params=SERVICES)
def service(request):
    return request.param


@pytest.fixture
def forward(daemon, service):
    with connect(daemon, service) as client:
        yield client


@pytest.fixture
def reverse(daemon, service):
    with connect(daemon, service, "reverse") as client:
        yield client


@pytest.fixture(params=PORTS, ids="-".join)
def port(request, daemon):
    """Makes clients of one port."""
    return lambda: connect(daemon, *request.param)


def count(daemon, **labels):
    return daemon.metrics().sum("postern_srs_total", **labels)


def protocol_errors(daemon):
    return daemon.metrics().sum("postern_protocol_errors_total")


# --- lookups ---

def test_sender_from_outside_is_rewritten_and_led_back(daemon, forward, reverse):
    rewritten = forward.request(SENDER)
    assert rewritten == (forward.FOUND, sign(SENDER, daemon.now))
    assert reverse.request(rewritten.text) == (reverse.FOUND, SENDER)


@pytest.mark.parametrize("sender", [
    "a+b=c-d@sender.example", "a%b@sender.example", '"a b"@sender.example',
    "j\u00fcrgen@m\u00fcller.example", "!#$&'*/?^_`{|}~@sender.example"])
def test_odd_characters_survive_the_coding(forward, reverse, sender):
    rewritten = forward.request(sender)
    assert rewritten.status == forward.FOUND
    assert reverse.request(rewritten.text) == (reverse.FOUND, sender)


@pytest.mark.parametrize("key", [
    "", "alice", "@sender.example", "alice@", "a b@sender.example", "alice@example.org",
    f"someone@{DOMAIN}", "a\n@sender.example"])
def test_what_need_not_be_rewritten_is_not_found(forward, key):
    assert forward.request(key).status == forward.NOT_FOUND


def test_what_is_no_address_of_ours_is_not_found(daemon, reverse):
    for key in ("", "bob@example.org", f"bob@{DOMAIN}", f"SRS0=@{DOMAIN}", "SRS0=" * 500):
        assert reverse.request(key).status == reverse.NOT_FOUND


def test_forged_address_is_not_found(daemon, reverse):
    forged = sign(SENDER, daemon.now, secret="another")
    assert reverse.request(forged).status == reverse.NOT_FOUND


def test_expired_address_is_not_found(daemon, reverse):
    assert reverse.request(sign(SENDER, daemon.now - 20 * DAY)).status == reverse.FOUND
    assert reverse.request(sign(SENDER, daemon.now - 23 * DAY)).status == reverse.NOT_FOUND


def test_address_longer_than_a_reply_may_be_is_not_found(daemon):
    with connect(daemon, "tcp_table") as client:
        assert client.request("a" * 4000 + "@sender.example").status == client.FOUND
        assert client.request("a" * 4060 + "@sender.example").status == client.NOT_FOUND
        assert client.request(SENDER).status == client.FOUND


def test_excluded_domain_is_not_rewritten(postern, service):
    daemon = start(postern)
    daemon.database.execute("INSERT INTO srs_exclude_domains (domain) VALUES (?)", "sender.example")
    with connect(daemon, service) as client:
        assert client.request(SENDER).status == client.NOT_FOUND
        assert client.request("alice@else.example").status == client.FOUND


def test_socketmap_is_served_on_a_unix_socket(postern, folder):
    daemon = start(postern, srs={"listen_socketmap": f"unix:{folder}/srs"})
    with connect(daemon, "socketmap") as client:
        assert client.request(SENDER).status == "OK"
        client.map = b"reverse"
        assert client.request(sign(SENDER, daemon.now)) == ("OK", SENDER)


def test_older_secret_still_leads_back(postern, service):
    daemon = start(postern, srs={"secrets": ["a new secret of the tests", SECRET]})
    with connect(daemon, service, "reverse") as client:
        assert client.request(sign(SENDER, daemon.now)) == (client.FOUND, SENDER)
    with connect(daemon, service) as client:
        assert client.request(SENDER).text == \
            sign(SENDER, daemon.now, secret="a new secret of the tests")


# --- without a database ---

@pytest.fixture(params=["pgsql", "mysql"])
def lonely(request, postern):
    """A daemon whose vmail database can't be reached."""
    vmail = {"driver": request.param, "host": "127.0.0.1", "port": free_port(), "user": "vmail",
             "name": "vmail"}
    return start(postern, sections={'database "vmail"': vmail})


def test_without_the_vmail_database_forward_is_asked_to_try_again(lonely, service):
    with connect(lonely, service) as client:
        for _ in range(3):
            assert client.request(SENDER).status == client.TRY_AGAIN
    lonely.wait_for_metric(3, "postern_srs_total", direction="forward", result="failed")
    assert lonely.wait_for_log("result=failed", 3)


def test_without_the_vmail_database_reverse_goes_on(lonely, service):
    with connect(lonely, service, "reverse") as client:
        assert client.request(sign(SENDER, lonely.now)) == (client.FOUND, SENDER)
        assert client.request("bob@example.org").status == client.NOT_FOUND


# Each keeps the table of hosted domains from being read while it sleeps.
LOCKS = {"pgsql": "BEGIN; LOCK TABLE domain; SELECT pg_sleep(30); COMMIT",
         "mysql": "LOCK TABLES domain WRITE; DO SLEEP(30)"}
LOCKED = {"pgsql": "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
          "mysql": "SELECT COUNT(*) FROM information_schema.processlist WHERE info = 'DO SLEEP(30)'"}


def keep_lock(database, sql):
    with contextlib.suppress(subprocess.CalledProcessError):  # until its connection is ended
        database.query(sql)


@pytest.fixture
def stalled(postern, databases):
    """A daemon whose vmail database takes questions and does not answer."""
    if databases.section()["driver"] == "sqlite":
        pytest.skip("there reading waits for nobody")
    server, vmail = databases.server, databases.vmail
    daemon = start(postern, database=databases, request_timeout="4s")
    keeper = threading.Thread(target=keep_lock, args=(vmail, LOCKS[server.driver]))
    keeper.start()
    wait_for(lambda: server.query(LOCKED[server.driver])[0][0], "the lock")
    yield daemon
    server.terminate_connections(vmail.name)
    keeper.join()


def test_vmail_database_that_stalls_is_named_and_holds_up_no_other_lookup(stalled, service):
    stalled.database.execute("INSERT INTO srs_exclude_domains (domain) VALUES ('excluded.example')")
    with connect(stalled, service) as client, connect(stalled, service, "reverse") as reverse:
        assert client.request("alice@excluded.example").status == client.NOT_FOUND
        assert client.request(SENDER).status == client.TRY_AGAIN
        assert client.request("bob@example.org").status == client.NOT_FOUND
        assert reverse.request(sign(SENDER, stalled.now)) == (reverse.FOUND, SENDER)
    line, = stalled.wait_for_log("result=failed")
    assert "database vmail" in line and "iredapd" not in line


# --- how requests come ---

def test_many_requests_are_answered_on_one_connection(forward):
    for number in range(200):
        assert forward.request(f"s{number}@sender.example").status == forward.FOUND
        assert forward.request(f"s{number}").status == forward.NOT_FOUND


def test_pipelined_requests_are_answered_in_order(daemon, forward):
    keys = [f"s{number}@sender.example" for number in range(1000)]
    forward.send(b"".join(forward.encode(key) for key in keys))
    assert [forward.read_answer().text for _ in keys] == [sign(key, daemon.now) for key in keys]


def test_requests_cut_at_any_byte_are_answered(daemon, service):
    with connect(daemon, service) as client:
        data = client.encode(SENDER)
        for cut in range(1, len(data)):
            client.send(data[:cut])
            client.send(data[cut:])
            assert client.read_answer().status == client.FOUND


def test_request_and_half_of_the_next_are_answered_in_their_time(forward):
    data = forward.encode(SENDER)
    forward.send(data + data[:10])
    assert forward.read_answer().status == forward.FOUND
    forward.send(data[10:])
    assert forward.read_answer().status == forward.FOUND


def test_client_of_one_byte_at_a_time_is_answered_and_holds_nobody_up(daemon, service):
    with connect(daemon, service) as slow, connect(daemon, service) as quick:
        for byte in slow.encode(SENDER):
            slow.send(bytes([byte]))
            assert quick.request(SENDER).status == quick.FOUND
        assert slow.read_answer().status == slow.FOUND


def test_client_that_stalls_inside_a_request_is_closed_and_an_idle_one_is_not(daemon):
    stalled = [connect(daemon, *where) for where in PORTS]
    with connect(daemon, "tcp_table") as idle:
        assert idle.request(SENDER).status == idle.FOUND
        for client in stalled:
            client.send(client.encode(SENDER)[:-1])
        for client in stalled:
            assert client.is_closed_by_peer()
            client.close()
        assert idle.request(SENDER).status == idle.FOUND


def test_client_that_leaves_inside_a_request_costs_nobody_anything(daemon, service, forward):
    data = forward.encode(SENDER)
    for cut in range(1, len(data)):
        with connect(daemon, service) as client:
            client.send(data[:cut])
        assert forward.request(SENDER).status == forward.FOUND


def test_client_that_never_reads_does_not_hold_up_others(daemon, service):
    with connect(daemon, service) as deaf:
        deaf.socket.setblocking(False)
        data = deaf.encode(SENDER) * 100
        for _ in range(1000):
            try:
                deaf.socket.send(data)
            except BlockingIOError:
                break
        with connect(daemon, service) as client:
            for _ in range(50):
                assert client.request(SENDER).status == client.FOUND


def test_clients_at_once_get_each_their_own_answers(daemon, service):
    def ask(number):
        with connect(daemon, service) as client:
            return {client.request(f"s{number}@sender.example").text for _ in range(50)}

    assert at_once(16, ask) == [{sign(f"s{number}@sender.example", daemon.now)}
                                for number in range(16)]


def test_connections_of_all_services_count_for_max_connections(postern):
    daemon = start(postern, workers=1, max_connections=3)
    with connect(daemon, "tcp_table") as first, connect(daemon, "socketmap") as second, \
            daemon.policy() as third:
        assert first.request(SENDER).status == first.FOUND
        assert second.request(SENDER).status == second.FOUND
        assert third.request(rcpt()) == "DUNNO"
        with connect(daemon, "tcp_table") as late:
            late.send(late.encode(SENDER))
            assert first.request(SENDER).status == first.FOUND
            second.close()
            assert late.read_answer().status == late.FOUND


def test_full_worker_takes_no_connection_of_any_service(postern):
    daemon = start(postern, workers=1, max_connections=3)
    clients = [connect(daemon, "tcp_table") for _ in range(3)]
    for client in clients:
        assert client.request(SENDER).status == "200"
    late = [connect(daemon, *where) for where in PORTS[1:]]
    for client in late:
        client.send(client.encode("nobody"))
    for _ in range(50):
        assert clients[0].request(SENDER).status == "200"
    assert daemon.metrics().sum("postern_connections") == 3
    for client in clients:
        client.close()
    for client in late:
        assert client.read_answer().status == client.NOT_FOUND
        client.close()


# --- limits ---

def test_put_is_refused_and_the_connection_goes_on(daemon):
    with connect(daemon, "tcp_table") as client:
        before = count(daemon, result="refused")
        client.send(b"put a@b.example c@d.example\n")
        assert client.read_answer().status == "500"
        assert client.request(SENDER).status == "200"
    daemon.wait_for_metric(before + 1, "postern_srs_total", direction="forward", result="refused")


@pytest.mark.parametrize("key", [b"a%", b"a%2", b"a%zz@b.example", b"a@b.example%00", b"a\0@b.c"])
def test_key_that_is_not_coded_is_not_found_and_the_connection_goes_on(daemon, key):
    with connect(daemon, "tcp_table") as client:
        client.send(b"get " + key + b"\n")
        assert client.read_answer().status == "500"
        assert client.request(SENDER).status == "200"


def test_key_with_a_nul_is_not_found_and_the_connection_goes_on(daemon):
    with connect(daemon, "socketmap") as client:
        assert client.request(SENDER.encode() + b"\0").status == "NOTFOUND"
        assert client.request(SENDER).status == "OK"


def test_line_at_the_limit_is_answered(daemon):
    with connect(daemon, "tcp_table") as client:
        client.send(b"get " + b"%41" * 1364 + b"\r\n")
        assert client.read_answer().status == "500"
        assert client.request(SENDER).status == "200"


def test_netstring_at_the_limit_is_answered(daemon):
    with connect(daemon, "socketmap") as client:
        room = 100000 - len(b"forward ")
        assert client.request(b"a" * room).status == "NOTFOUND"
        assert client.request(b"a" * (room - 15) + b"@sender.example").status == "NOTFOUND"
        assert client.request(b"a" * 90000 + b"@sender.example").status == "OK"
        assert client.request(SENDER).status == "OK"


def test_clients_that_send_the_longest_requests_leave_no_memory_behind(daemon):
    def send(_):
        with connect(daemon, "socketmap") as client:
            return client.request(b"a" * 90000 + b"@sender.example").status

    for _ in range(5):
        assert set(at_once(16, send)) == {"OK"}


def assert_refused(daemon, client, data):
    """data is a protocol error: answered, then closed, counted and logged."""
    errors, lines = protocol_errors(daemon), len(daemon.log_lines())
    client.send(data)
    assert client.read_answer().status == client.BROKEN
    assert client.is_closed_by_peer()
    wait_for(lambda: protocol_errors(daemon) == errors + 1, "the error to be counted")
    wait_for(lambda: any("protocol error of " in line for line in daemon.log_lines()[lines:]),
             "the error to be logged")


LONG = [b"get " + b"a" * 4093 + b"\n", b"x" * 5000, b"get " + b"a" * 300000 + b"\n"]


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("data", LONG, ids=["a byte", "no end", "megabytes"])
def test_too_long_a_line_is_refused(daemon, direction, data):
    with connect(daemon, "tcp_table", direction) as client:
        assert_refused(daemon, client, data)


@pytest.mark.parametrize("data", [b"100001:forward ", b"9999999", netstring(b"forward " + b"a" * 100000)],
                         ids=["announced", "digits", "whole"])
def test_too_long_a_netstring_is_refused(daemon, data):
    with connect(daemon, "socketmap") as client:
        assert_refused(daemon, client, data)


GARBAGE = {"HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "empty line": b"\n",
           "every byte": bytes(range(1, 256)) + b"\n", "NULs": b"\0" * 1000 + b"\n",
           "policy": b"request=smtpd_access_policy\nprotocol_state=RCPT\n\n",
           "random": random.Random(3).randbytes(3000) + b"\n"}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_refused_and_costs_others_nothing(daemon, port, data):
    with port() as other, port() as client:
        assert_refused(daemon, client, data)
        assert other.request(b"nobody").status == other.NOT_FOUND


@pytest.mark.parametrize("data", [b"11:forward a@b;", netstring(b"forwards a@b"), netstring(b""),
                                  netstring(b"forward")])
def test_netstring_that_asks_nothing_is_refused(daemon, data):
    with connect(daemon, "socketmap") as client:
        assert_refused(daemon, client, data)


def test_flood_of_garbage_ends(daemon, port):
    def flood(client):
        for _ in range(10000):
            client.send(b"\n" * 65536)

    with port() as client:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            flood(client)
        assert not client.unread
    with port() as other:
        assert other.request(b"nobody").status == other.NOT_FOUND


# --- the log and the counters ---

def test_lookups_are_counted_by_direction_and_result(postern, service):
    daemon = start(postern)
    with connect(daemon, service) as client:
        client.request(SENDER)
        client.request("bob@example.org")
        client.request("bob@example.org")
    with connect(daemon, service, "reverse") as client:
        client.request(sign(SENDER, daemon.now))
        client.request("bob@example.org")
    for direction, result, expected in (("forward", "rewritten", 1), ("forward", "not_found", 2),
                                        ("reverse", "rewritten", 1), ("reverse", "not_found", 1)):
        daemon.wait_for_metric(expected, "postern_srs_total", direction=direction, result=result)
    assert count(daemon) == 5


def test_rewritten_address_and_forged_one_are_in_the_log(postern, service):
    daemon = start(postern)
    forged = sign(SENDER, daemon.now, secret="another")
    with connect(daemon, service) as client:
        client.request("bob@example.org")
        client.request(SENDER)
    wait_for(daemon.log_lookups, "the first line")  # the next may be another worker's
    with connect(daemon, service, "reverse") as client:
        client.request(forged)
        client.request("bob@example.org")
    daemon.wait_for_metric(4, "postern_srs_total")
    wait_for(lambda: len(daemon.log_lookups()) == 2, "both lines")
    rewritten, refused = daemon.log_lookups()
    assert (rewritten["srs"], rewritten["result"]) == ("forward", "rewritten")
    assert (rewritten["address"], rewritten["rewritten"]) == (SENDER, sign(SENDER, daemon.now))
    assert (refused["srs"], refused["result"]) == ("reverse", "not_found")
    assert refused["address"] == forged and refused["reason"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_keys_cannot_write_to_the_log_what_is_not_so(postern, service, log_format):
    daemon = start(postern, log={"format": log_format, "level": "debug"})
    evil = b'SRS0\x01\x1b[2J\x07\r\n\x7f\xc2\x85\xff "quoted\\" result="rewritten'
    for direction in ("forward", "reverse"):
        with connect(daemon, service, direction) as client:
            client.request(evil)
    wait_for(lambda: len(daemon.log_lookups()) == 2, "both lines")
    text = daemon.stderr.read_bytes()
    assert not [byte for byte in text if (byte < 0x20 and byte != 0x0a) or byte == 0x7f]
    text.decode()
    assert {line["result"] for line in daemon.log_lookups()} == {"not_found"}


# --- reloads and deaths ---

def test_reloads_under_load_fail_no_lookup_and_close_no_connection(postern):
    daemon = start(postern)
    loads = [Load(lambda where=where: connect(daemon, *where), clients=4,
                  request=lambda instance: f"s{instance}@sender.example") for where in PORTS]
    with loads[0], loads[1], loads[2]:
        for _ in range(5):
            goals = [load.count() + 50 for load in loads]
            wait_for(lambda: all(load.count() >= goal or load.errors
                                 for load, goal in zip(loads, goals)), "more answers")
            daemon.reload()
    assert [load.errors for load in loads] == [[], [], []]
    for load, statuses in zip(loads, ({"200"}, {"500"}, {"OK"})):
        assert {answer.status for answer in load.answers} == statuses
    daemon.wait_for_metric(sum(len(load.answers) for load in loads), "postern_srs_total")


def test_idle_connections_survive_a_reload(postern):
    daemon = start(postern)
    clients = [connect(daemon, *where) for where in PORTS for _ in range(5)]
    for client in clients:
        client.request(SENDER)
    daemon.reload()
    for client in clients:
        assert client.request("nobody").status == client.NOT_FOUND
        client.close()


def test_reload_that_lowers_max_connections_leaves_no_client_without_an_answer(postern):
    daemon = start(postern, workers=1, max_connections=6)
    clients = [connect(daemon, *where) for where in PORTS for _ in range(2)]
    for client in clients:
        client.request(SENDER)
    daemon.settings["max_connections"] = 2
    daemon.write_config()
    daemon.reload()
    for client in clients:
        assert client.request("nobody").status == client.NOT_FOUND
        client.close()


def test_connection_inside_a_request_survives_a_reload(postern, service):
    daemon = start(postern)
    with connect(daemon, service) as client:
        data = client.encode(SENDER)
        client.send(data[:12])
        old = daemon.workers()
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: len(daemon.workers() - old) == 2, "the new generation")
        client.send(data[12:])
        assert client.read_answer().status == client.FOUND
        assert client.request(SENDER).status == client.FOUND


def test_reload_applies_a_new_secret_to_connections_that_are_open(postern, service):
    daemon = start(postern)
    with connect(daemon, service) as client:
        assert client.request(SENDER).text == sign(SENDER, daemon.now)
        daemon.sections["srs"]["secrets"] = ["a new secret of the tests", SECRET]
        daemon.write_config()
        daemon.reload()
        assert client.request(SENDER).text == \
            sign(SENDER, daemon.now, secret="a new secret of the tests")


def test_reload_switches_srs_off_and_on(postern):
    daemon = start(postern)
    with connect(daemon, "tcp_table") as client:
        assert client.request(SENDER).status == "200"
        daemon.sections["srs"]["domain"] = ""
        daemon.write_config()
        daemon.reload()
        assert client.is_closed_by_peer()
    for where in PORTS:
        with pytest.raises(ConnectionRefusedError):
            connect(daemon, *where)
    daemon.sections["srs"]["domain"] = DOMAIN
    daemon.write_config()
    daemon.reload()
    with connect(daemon, "tcp_table") as client:
        assert client.request(SENDER).status == "200"


def test_killed_worker_costs_only_its_connections(postern, service):
    daemon = start(postern)
    with Load(lambda: connect(daemon, service), clients=8, reconnect=True,
              request=lambda instance: f"s{instance}@sender.example") as load:
        for _ in range(2):
            goal = load.count() + 100
            wait_for(lambda: load.count() >= goal or load.errors, "more answers")
            daemon.kill_worker()
    assert load.errors == []
    assert {answer.status for answer in load.answers} == {"200" if service == "tcp_table" else "OK"}


def test_stop_answers_what_has_come(postern, service):
    daemon = start(postern)
    keys = [f"s{number}@sender.example" for number in range(200)]
    with connect(daemon, service) as client:
        client.request(SENDER)
        client.send(b"".join(client.encode(key) for key in keys))
        client.read_answer()
        stopping = threading.Thread(target=daemon.stop)
        stopping.start()
        assert [client.read_answer().status for _ in keys[1:]] == [client.FOUND] * 199
        assert client.is_closed_by_peer()
        stopping.join()


# --- settings ---

def test_without_a_domain_there_is_no_srs(postern):
    daemon = start(postern, srs={"domain": ""})
    for where in PORTS:
        with pytest.raises(ConnectionRefusedError):
            connect(daemon, *where)


def test_services_without_an_address_are_off(postern):
    daemon = start(postern, srs={"listen_forward": "", "listen_reverse": ""})
    with connect(daemon, "socketmap") as client:
        assert client.request(SENDER).status == "OK"


def test_domain_without_a_secret_is_refused(postern):
    daemon = start(postern, start=False, init=False, srs={"secrets": []})
    done = daemon.run("-t", "-c", daemon.config)
    assert done.returncode == 1
    assert "domain: expected secrets or secrets_file" in done.stderr


def test_secret_that_can_be_guessed_is_warned_of(postern):
    daemon = start(postern, srs={"secrets": ["short", SECRET]})
    assert daemon.wait_for_log("srs: the first secret is so short")


def test_secrets_that_everybody_can_read_are_warned_of(postern, folder):
    path = folder / "secrets"
    path.write_text(SECRET + "\n")
    path.chmod(0o644)
    daemon = start(postern, srs={"secrets": [], "secrets_file": path})
    assert daemon.wait_for_log(f"srs: everybody can read {path}")
    with connect(daemon, "tcp_table") as client:
        assert client.request(SENDER).text == sign(SENDER, daemon.now)


def test_good_secrets_are_not_warned_of(postern, folder):
    path = folder / "secrets"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    give_to_daemon(path)
    daemon = start(postern, srs={"secrets": [], "secrets_file": path})
    assert not [line for line in daemon.log_lines() if "srs:" in line]


def test_port_in_use_names_the_address(postern, daemon):
    taken = daemon.sections["srs"]["listen_reverse"]
    other = start(postern, start=False, srs={"listen_reverse": taken})
    refused = other.run("-f", "-c", other.config)
    assert refused.returncode != 0
    assert taken in refused.stderr and "in use" in refused.stderr
