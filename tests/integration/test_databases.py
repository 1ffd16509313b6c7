"""What the daemon promises while its database server is shared, away, frozen or full of others."""
import contextlib
import os
import resource
import socket
import time

import pytest

from harness.load import Load, at_once
from harness.policy import encode, rcpt
from harness.wait import wait_for

DEFERRED = "451 4.7.1 Intentional policy rejection, please try again later"
AWAY = float(os.environ.get("POSTERN_TEST_OUTAGE", "4"))  # seconds
CLIENTS = 8

on_servers = pytest.mark.parametrize("backend", ["pgsql", "mysql"], indirect=True)


@pytest.fixture
def server(backend):
    """The server behind the database, for what only servers suffer."""
    return backend.server


@pytest.fixture
def greylist(postern, database):
    def make(**settings):
        return postern(plugins=["greylisting"], database=database, cache_ttl="5s", **settings)
    return make


def complaints(daemon):
    """Lines of the log that say that something went wrong."""
    return [line for line in daemon.log_lines() if "failed" in line or "unreachable" in line]


def new_triplet(instance, **attributes):
    return rcpt(instance=instance, sender=f"s{instance}@sender.example", **attributes)


# --- one database for all ---

def test_triplet_that_all_see_at_once_is_stored_once_and_deferred_by_all(greylist):
    """The clock stands still, so nobody's retry is late enough to pass."""
    daemons = [greylist(workers=4), greylist(workers=4, init=False)]
    triplets = [f"sender{number}@sender.example" for number in range(200)]

    def ask_all(number):
        with daemons[number % 2].policy() as client:
            return [client.rcpt(sender=sender) for sender in triplets]

    answers = at_once(64, ask_all)
    assert {answer for client in answers for answer in client} == {DEFERRED}
    assert daemons[0].database.count("greylisting_tracking") == 200
    attempts = daemons[0].database.query("SELECT SUM(blocked_count) FROM greylisting_tracking")
    assert attempts == [(64 * 200 - 200,)]
    assert [complaints(daemon) for daemon in daemons] == [[], []]


# --- servers ---

class TimedLoad(Load):
    """Remembers when each answer was asked for and how long it took."""

    def __init__(self, daemon, **options):
        super().__init__(daemon.policy, clients=CLIENTS, request=new_triplet, **options)
        self.timed = []

    def _ask(self, client, request):
        start = time.monotonic()
        client = super()._ask(client, request)
        with self.lock:
            self.timed.append((start, time.monotonic() - start, self.answers[-1]))
        return client

    def between(self, first, last):
        return [entry for entry in self.timed if first <= entry[0] < last]


def percentile(entries, share):
    took = sorted(entry[1] for entry in entries)
    return took[min(int(len(took) * share), len(took) - 1)]


def decides(daemon):
    """A new triplet is deferred again: the database has been asked."""
    serial = f"probe.{time.monotonic()}"
    return daemon.ask(new_triplet(serial)) == DEFERRED


@pytest.mark.parametrize("on_error,answer", [
    ("dunno", "DUNNO"), ("defer", "451 4.3.0 Temporary lookup failure, please try again later")])
@on_servers
def test_outage_costs_nobody_time_and_ends_by_itself(greylist, server, on_error, answer):
    daemon = greylist(on_error=on_error)
    with TimedLoad(daemon) as load:
        wait_for(lambda: load.count() > 100, "the load")
        away = time.monotonic()
        server.stop()
        time.sleep(AWAY)
        server.start()
        back = time.monotonic()
        wait_for(lambda: decides(daemon), "decisions after the server's return", seconds=10)
        right = time.monotonic()
    outage = load.between(away, back)
    print(f"{len(outage)} requests while it was away: p50 {percentile(outage, .5) * 1e3:.2f} ms, p99"
          f" {percentile(outage, .99) * 1e3:.2f} ms; right again {right - back:.2f} s after")
    assert not load.errors
    assert {entry[2] for entry in load.timed} == {DEFERRED, answer}
    assert percentile(outage, 0.99) < 0.1
    assert right - back < 2
    assert daemon.stderr_text().count("unreachable: ") <= 3  # once a process
    assert daemon.metrics().sum("postern_worker_restarts_total") == 0


@on_servers
def test_no_request_sees_that_all_connections_are_ended(greylist, server):
    daemon = greylist()
    with TimedLoad(daemon) as load:
        wait_for(lambda: load.count() > 100, "the load")
        ended = 0
        for _ in range(15):
            ended += server.terminate_connections(daemon.database.name)
            before = load.count()
            wait_for(lambda: load.count() > before + 20, "answers after the end of connections")
    print(f"{ended} connections ended, {len(load.timed)} requests, longest"
          f" {percentile(load.timed, 1) * 1e3:.1f} ms")
    assert ended >= 15
    assert not load.errors
    assert complaints(daemon) == []
    assert set(load.answers) == {DEFERRED}


@on_servers
def test_server_that_never_answers_is_given_up_at_request_timeout(postern, backend, folder):
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
        database = backend.create(folder)
        database.section = lambda: {**backend.server.section(database.name),
                                    "port": silent.getsockname()[1]}
        daemon = postern(plugins=["greylisting"], database=database, init=False,
                         request_timeout="2s")
        took = at_once(20, lambda number: timed_ask(daemon, number))
    assert max(took) < 2 + 1
    assert min(timed_ask(daemon, 20 + number) for number in range(5)) < 0.1


def timed_ask(daemon, number):
    start = time.monotonic()
    assert daemon.ask(new_triplet(f"late.{number}")) == "DUNNO"
    return time.monotonic() - start


@on_servers
def test_refused_login_is_answered_by_on_error_and_said_with_its_cause(postern, backend, folder):
    database = backend.create(folder)
    database.section = lambda: {**backend.server.section(database.name), "password": "wrong"}
    daemon = postern(plugins=["greylisting"], database=database, init=False, on_error="defer")
    assert daemon.ask(rcpt()).startswith("451 4.3.0 ")
    daemon.wait_for_log("password")


@on_servers
def test_server_that_is_down_at_the_start_is_waited_for(greylist, server):
    daemon = greylist(start=False)
    server.stop()
    try:
        daemon.start()
        assert daemon.ask(rcpt()) == "DUNNO"
    finally:
        server.start()
    wait_for(lambda: decides(daemon), "decisions after the server's return")


@on_servers
def test_thousands_of_clients_share_the_pools(greylist, server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20000), hard))
    try:
        daemon = greylist(workers=2, max_connections=4000)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(daemon.policy()) for _ in range(4000)]
            for number, client in enumerate(clients):
                client.send(encode(new_triplet(f"many.{number}")))
            assert {client.read_action() for client in clients} == {DEFERRED}
            assert server.connections(daemon.database.name) <= 2 * 4
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

