"""What a pool of connections promises while its server stops, freezes or refuses it."""
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness.mariadb import MariaDB
from harness.postgresql import PostgreSQL

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SERVERS = {
    "mysql": MariaDB,
    "pgsql": PostgreSQL,
}
DATABASE = "pool"
POOL_SIZE = 4
AWAY = float(os.environ.get("POSTERN_TEST_OUTAGE", "4"))  # seconds


@pytest.fixture(scope="module")
def program():
    path = pathlib.Path(os.environ.get("POSTERN_BUILD", SOURCE / "build-test"))
    path = path / "tests/integration/db_pool_load"
    if not path.exists():
        pytest.skip(f"{path} is not built")
    return path


@pytest.fixture(scope="module", params=SERVERS)
def server(request):
    if not SERVERS[request.param].is_installed():
        pytest.skip(f"there is no server for {request.param} here")
    running = SERVERS[request.param]()
    running.create_database(DATABASE)
    yield running
    running.remove()


class Load:
    """Clients at work for some seconds; then what became of each request."""

    def __init__(self, program, server, seconds, **changed):
        known = server.section(DATABASE)
        known["dbname"] = known.pop("name")
        known = {**known, "pool_size": POOL_SIZE, "seconds": seconds, **changed}
        self.process = subprocess.Popen([program, *(f"{k}={v}" for k, v in known.items())],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.requests = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()
        time.sleep(1)

    def _read(self):
        for line in self.process.stdout:
            start, took, outcome = line.rstrip("\n").split(" ", 2)
            self.requests.append((float(start), float(took), outcome))

    def finish(self):
        self.reader.join(timeout=120)
        self.log = self.process.stderr.read()
        assert self.process.wait() == 0, self.log
        self.failures = [r for r in self.requests if r[2] != "ok"]
        return self

    def between(self, first, last):
        return [r for r in self.requests if first <= r[0] < last]


def percentile(requests, share):
    took = sorted(r[1] for r in requests)
    return took[min(int(len(took) * share), len(took) - 1)]


def assert_answered_fast_and_back(load, away, back):
    """Within 100 ms while it is away, rightly from 2 seconds after its return."""
    outage = load.between(away, back)
    print(f"{len(load.requests)} requests, {len(load.failures)} failed;"
          f" {len(outage)} while it was away: p50 {percentile(outage, .5) * 1e3:.3f} ms,"
          f" p99 {percentile(outage, .99) * 1e3:.3f} ms, longest {percentile(outage, 1) * 1e3:.3f}"
          f" ms; back after {max(r[0] for r in load.failures) - back:.3f} s")
    print(load.log)
    assert outage and percentile(outage, 0.99) < 0.1
    assert not [r for r in load.failures if r[0] > back + 2]
    assert [r for r in load.between(back + 2, back + 10) if r[2] == "ok"]
    assert load.log.count("unreachable") == 1 and load.log.count("reachable again") == 1


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_server_away_under_load_costs_nobody_time(program, server, mode):
    load = Load(program, server, AWAY + 6)
    away = time.time()
    server.stop(mode)
    time.sleep(AWAY)
    server.start()
    back = time.time()
    load.finish()
    assert_answered_fast_and_back(load, away, back)


def test_no_request_sees_that_all_connections_are_ended(program, server):
    load = Load(program, server, 5)
    ended = 0
    for _ in range(20):
        ended += server.terminate_connections(DATABASE)
        time.sleep(0.1)
    load.finish()
    print(f"{ended} connections ended, {len(load.requests)} requests, {len(load.failures)} failed,"
          f" longest {percentile(load.requests, 1) * 1e3:.1f} ms", load.log)
    assert ended > 20
    assert not load.failures


def test_frozen_server_holds_nobody_past_the_deadline(program, server):
    load = Load(program, server, 14, deadline=2)
    frozen = time.time()
    server.signal(signal.SIGSTOP)
    time.sleep(7)
    server.signal(signal.SIGCONT)
    thawed = time.time()
    load.finish()
    late = load.between(frozen + 4, thawed)
    print(f"longest {percentile(load.requests, 1):.3f} s; after 4 s: {len(late)} requests, p99"
          f" {percentile(late, .99) * 1e3:.3f} ms, longest {percentile(late, 1) * 1e3:.3f} ms; back"
          f" after {max(r[0] for r in load.failures) - thawed:.3f} s", load.log)
    assert percentile(load.requests, 1) < 2.2
    assert percentile(late, 0.99) < 0.1
    assert not [r for r in load.failures if r[0] > thawed + 2]
    assert [r for r in load.between(thawed + 2, thawed + 10) if r[2] == "ok"]


def test_refused_login_costs_nobody_time(program, server):
    load = Load(program, server, 7)
    server.refuse_logins()
    away = time.time()
    server.terminate_connections(DATABASE)
    time.sleep(2)
    server.allow_logins()
    back = time.time()
    load.finish()
    assert_answered_fast_and_back(load, away, back)


def test_silent_server_costs_each_its_deadline_until_that_is_known(program, server):
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        load = Load(program, server, 9, deadline=1, host="127.0.0.1",
                    port=silent.getsockname()[1]).finish()
    last = max(r[0] for r in load.requests)
    late = load.between(last - 2, last + 1)
    print(f"longest {percentile(load.requests, 1):.3f} s; in the end {len(late)} requests, p99"
          f" {percentile(late, .99) * 1e3:.3f} ms", load.log)
    assert percentile(load.requests, 1) < 1.2
    assert percentile(late, 0.99) < 0.1
    assert len(load.failures) == len(load.requests)


def test_server_never_has_more_connections_than_the_pool(program, server):
    load = Load(program, server, 4, fibers=200)
    seen = 0
    for _ in range(20):
        seen = max(seen, server.connections(DATABASE))
    load.finish()
    assert not load.failures
    assert seen == POOL_SIZE
