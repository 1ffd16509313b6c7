"""What the database drivers promise, shown on real servers by the program db_driver_check."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from harness.mariadb import MariaDB
from harness.postgresql import PostgreSQL, free_port

SOURCE = pathlib.Path(__file__).resolve().parents[2]

SERVERS = {
    "mysql": MariaDB,
    "pgsql": PostgreSQL,
}

SCENARIOS = [
    "values_are_what_they_were",
    "nulls_and_wide_integers_are_taken",
    "bytes_columns_are_found_by_text_and_by_lists",
    "upsert_returns_its_row_and_writes_are_counted",
    "failed_statement_leaves_a_good_connection",
    "answer_too_large_is_refused",
    "statements_beyond_the_cache_are_freed_on_the_server",
    "failed_script_leaves_nothing",
    "failed_script_makes_no_tables",
    "terminated_while_idle_is_lost_unsent",
    "terminated_just_before_is_lost_unsent",
    "terminated_while_running_did_nothing",
    "late_statement_ends_at_its_deadline",
    "deadlocked_statements_are_both_done",
    "transaction_is_done_wholly",
    "failed_transaction_leaves_nothing",
    "deadlocked_transactions_are_both_done",
    "changed_tables_are_prepared_for_again",
    "scripts_of_two_hosts_take_turns",
    "long_list_is_sent_whole",
    "migrations_run_twice",
    "many_fibers_count_exactly",
]

DATABASE = "checks"


@pytest.fixture(scope="module")
def program():
    path = pathlib.Path(os.environ.get("POSTERN_BUILD", SOURCE / "build-test"))
    path = path / "tests/integration/db_driver_check"
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


def arguments(server, **changed):
    known = server.section(DATABASE)
    known["dbname"] = known.pop("name")
    return [f"{key}={value}" for key, value in {**known, **changed}.items()]


@pytest.fixture
def check(program, server):
    """Runs a scenario; what it printed, when it has succeeded."""
    def run(scenario, **changed):
        done = subprocess.run([program, *arguments(server, **changed), scenario], timeout=60,
                              text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
    return run


@pytest.fixture
def refused(check):
    """Connects with something changed: the seconds that took, and the message."""
    def run(**changed):
        seconds, message = check("connect", **changed).splitlines()[0].split(" ", 1)
        assert message != "connected"
        return float(seconds), message
    return run


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_driver(check, scenario):
    check(scenario)


# --- connecting

NO_FILE = "No such file or directory"

REFUSALS = {
    "mysql": [
        ({"password": "wrong"}, "Access denied", "check `user` and `password`"),
        ({"user": "nobody"}, "Access denied", "check `user` and `password`"),
        ({"dbname": "absent"}, "to database 'absent'", "GRANT the account its rights"),
        ({"tls": "require"}, "offers no TLS", 'tls = "prefer"'),
        ({"host": "/nowhere"}, NO_FILE, "is the server running"),
        ({"host": "host.invalid"}, "'host.invalid'", "the name has no address"),
    ],
    "pgsql": [
        ({"password": "wrong"}, "password authentication failed", "check `user` and `password`"),
        ({"user": "nobody"}, "password authentication failed", "check `user` and `password`"),
        ({"dbname": "absent"}, 'database "absent" does not exist', "create the database"),
        ({"tls": "require"}, "does not support SSL", 'tls = "prefer"'),
        ({"host": "/nowhere"}, NO_FILE, "is the server running"),
        ({"host": "host.invalid"}, "the name host.invalid has no address", ""),
    ],
}


@pytest.mark.parametrize("case", range(6))
def test_refusal_is_explained(refused, server, case):
    changed, problem, remedy = REFUSALS[server.driver][case]
    _, message = refused(**changed)
    assert problem in message and remedy in message


def test_closed_port_is_explained_at_once(refused):
    port = free_port()
    seconds, message = refused(port=port)
    assert seconds < 1
    assert f"127.0.0.1:{port}/{DATABASE}" in message and "refused" in message


def test_socket_folder_and_host_name_connect(check, server):
    assert "connected" in check("connect", host=server.socket)
    assert "connected" in check("connect", host="localhost")


@pytest.fixture
def silent_port():
    """Accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_silent_server_does_not_hold_the_fiber_past_the_deadline(refused, silent_port):
    seconds, message = refused(port=silent_port, deadline=0.5)
    assert 0.4 < seconds < 0.8
    assert "did not answer in time" in message


MYSQL_GREETING = (b"\x0a5.5.5-10.11.0-MariaDB\0" + b"\1\0\0\0" + b"12345678\0" + b"\xfe\xff\x2d\2\0"
                  + b"\xff\xc1\x15" + b"\0" * 10 + b"123456789012\0mysql_native_password\0")


def test_server_silent_in_the_tls_handshake_does_not_hold_the_fiber(program, server):
    if server.driver != "mysql":
        pytest.skip("libmariadb blocks there")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = subprocess.Popen([program, *arguments(server, port=port, deadline=0.5), "connect"],
                                  stdout=subprocess.PIPE, text=True)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(len(MYSQL_GREETING).to_bytes(3, "little") + b"\0" + MYSQL_GREETING)
            output, _ = client.communicate(timeout=10)
            request = connection.recv(100)
    seconds, message = output.splitlines()[0].split(" ", 1)
    assert len(request) >= 36  # asked for TLS
    assert float(seconds) < 0.8 and "did not answer in time" in message


def test_second_host_is_reached_when_the_first_is_silent(check, server):
    if server.driver != "pgsql":
        pytest.skip("one host only")
    with socket.create_server(("127.0.0.2", server.port)):
        assert "connected" in check("connect", host="127.0.0.2,127.0.0.1", deadline=2)


def test_host_that_takes_no_writes_is_passed_over(refused, server):
    if server.driver != "pgsql":
        pytest.skip("one host only")
    server.execute(f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = on")
    try:
        _, message = refused(host="127.0.0.1,127.0.0.3")
    finally:
        server.execute(f"ALTER DATABASE {DATABASE} RESET default_transaction_read_only")
    assert "read-only" in message and "127.0.0.3" in message


@pytest.fixture(scope="module", params=SERVERS)
def tls_server(request):
    if not SERVERS[request.param].is_installed():
        pytest.skip(f"there is no server for {request.param} here")
    running = SERVERS[request.param](tls=True)
    running.create_database(DATABASE)
    yield running
    running.remove()


def connect(program, server, environment=None, **changed):
    return subprocess.run([program, *arguments(server, **changed), "connect"], timeout=60,
                          text=True, capture_output=True, check=True,
                          env={**os.environ, **(environment or {})}).stdout


def test_tls_is_used_and_verified(program, tls_server):
    ca = {tls_server.ca_variable: str(tls_server.certificate)}
    assert "connected" in connect(program, tls_server, tls="require")
    assert "connected" in connect(program, tls_server, ca, tls="verify", host="localhost")


def test_statements_run_over_tls(program, tls_server):
    subprocess.run([program, *arguments(tls_server, tls="require"), "many_fibers_count_exactly"],
                   timeout=60, check=True, stdout=subprocess.DEVNULL)


def test_certificate_of_an_unknown_ca_or_another_host_is_refused(program, tls_server):
    ca = {tls_server.ca_variable: str(tls_server.certificate)}
    unknown = connect(program, tls_server, tls="verify", host="localhost")
    assert re.search("certificate verify failed|self-signed certificate", unknown)
    assert tls_server.ca_variable in unknown
    other = connect(program, tls_server, ca, tls="verify", host="127.0.0.1")
    assert "connected" not in other and "set `host` to the name" in other


# --- under load

class Load:
    """Upserts by 50 fibers on 8 connections, while the test does its worst."""

    def __init__(self, program, server, seconds, deadline=20, pool_size=8):
        self.process = subprocess.Popen(
            [program, *arguments(server, pool_size=pool_size, deadline=deadline), "load_through_faults"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.process.stdin.write(f"go {seconds}\n")
        self.process.stdin.flush()

    def end(self):
        output, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, output
        return {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", output)}


def in_doubt(result, server):
    """MariaDB ends sessions without a word, so what was under way may have been done or not."""
    return result["lost"] if server.driver == "mysql" else 0


def test_ended_sessions_lose_and_repeat_no_statement(program, server):
    load = Load(program, server, 3)
    ended = 0
    while load.process.poll() is None and ended < 200:
        ended += server.terminate_connections(DATABASE)
        time.sleep(0.05)  # a pace, not a wait
    result = load.end()
    doubt = in_doubt(result, server)
    assert ended > 16
    assert result["error"] == result["timeout"] == result["busy"] == 0
    assert result["lost"] == doubt <= ended
    assert 0 < result["ok"] <= result["counted"] <= result["ok"] + doubt


def test_restarted_server_loses_and_repeats_no_statement(program, server):
    load = Load(program, server, 4)
    server.restart()
    result = load.end()
    doubt = in_doubt(result, server)
    assert result["error"] == result["timeout"] == result["busy"] == 0
    assert result["lost"] == doubt <= 8
    assert 0 < result["ok"] <= result["counted"] <= result["ok"] + doubt


def test_frozen_server_holds_no_statement_past_its_deadline(program, server):
    load = Load(program, server, 4, deadline=2, pool_size=50)
    time.sleep(0.3)  # some statements are under way
    server.signal(signal.SIGSTOP)
    time.sleep(2.2)
    server.signal(signal.SIGCONT)
    result = load.end()
    assert result["timeout"] > 0 and result["longest"] < 2.4
    assert result["error"] == 0


def test_crashed_server_leaves_only_sent_statements_in_doubt(program, server):
    load = Load(program, server, 4)
    server.stop("immediate")
    server.start()
    result = load.end()
    assert result["error"] == result["timeout"] == result["busy"] == 0
    assert result["lost"] <= 8
    assert result["ok"] <= result["counted"] <= result["ok"] + result["lost"]
