"""The master and its children: what dies comes back, what stops lets nobody down."""
import os
import signal
import sqlite3
import subprocess

import pytest

from harness.load import Load
from harness.policy import encode, rcpt
from harness.processes import process_name
from harness.wait import wait_for

DEFERRED = "451 4.7.1 Intentional policy rejection, please try again later"


@pytest.fixture
def daemon(postern):
    return postern(plugins=["reject_null_sender", "greylisting"])


def assert_never_backwards(before, after):
    """No counter, nor any bucket of a histogram, is smaller than it was."""
    for series, value in before.items():
        if before.types[before.metric_of(series.partition("{")[0])] != "gauge":
            assert after.get(series, 0) >= value, series


# --- children that die ---

def test_killed_worker_is_back(daemon):
    victim = daemon.kill_worker()
    assert victim not in daemon.workers()
    assert daemon.ask(rcpt()) == DEFERRED
    daemon.wait_for_metric(2, "postern_workers")


def test_restart_is_counted(daemon):
    assert daemon.metrics().sum("postern_worker_restarts_total") == 0
    daemon.kill_worker()
    daemon.kill_worker()
    assert daemon.metrics().sum("postern_worker_restarts_total") == 2


def test_killed_housekeeper_is_back(daemon):
    os.kill(daemon.housekeeper(), signal.SIGKILL)
    wait_for(daemon.is_up, "the housekeeper to be back")
    assert daemon.metrics().sum("postern_worker_restarts_total") == 1


def test_worker_that_dies_is_logged_with_the_signal(daemon):
    victim = daemon.kill_worker()
    line, = daemon.wait_for_log(f"process {victim}")
    assert "signal 9" in line or "Killed" in line


def test_kill_9_of_workers_under_load_costs_only_their_connections(daemon):
    with Load(daemon.policy, clients=8, reconnect=True) as load:
        samples = [daemon.metrics()]
        for _ in range(3):
            goal = load.count() + 200
            wait_for(lambda: load.count() >= goal, "more answers")
            samples.append(daemon.metrics())
            daemon.kill_worker()
            samples.append(daemon.metrics())
    assert load.errors == []
    assert set(load.answers) == {DEFERRED}
    assert load.lost > 0
    samples.append(daemon.metrics())
    for before, after in zip(samples, samples[1:]):
        assert_never_backwards(before, after)
    assert samples[-1].sum("postern_worker_restarts_total") == 3


def test_child_that_dies_at_once_is_started_again_with_a_delay(daemon):
    newborn = None
    for _ in range(4):
        old = daemon.workers()
        os.kill(newborn or min(old), signal.SIGKILL)
        newborn = wait_for(lambda: daemon.workers() - old, "a new worker").pop()
    daemon.wait_for_log("starting it again in")
    daemon.wait_for_workers()
    assert daemon.ask(rcpt()) == DEFERRED


def test_children_end_when_the_master_is_killed(daemon):
    assert daemon.children()
    daemon.process.kill()
    daemon.process.wait()
    daemon.assert_no_process_left()


def test_start_after_the_master_was_killed_needs_no_cleaning_up(postern, folder):
    daemon = postern(plugins=["reject_null_sender"], listen=[f"unix:{folder}/socket"])
    daemon.process.kill()
    daemon.process.wait()
    daemon.assert_no_process_left()
    daemon.start()
    assert daemon.ask(rcpt()) == "DUNNO"


# --- SIGHUP ---

def test_reload_applies_the_new_config(daemon):
    assert daemon.ask(rcpt()) == DEFERRED
    daemon.set_options("greylisting", message="another text")
    daemon.reload()
    assert daemon.ask(rcpt()) == "451 4.7.1 another text"


def test_reload_changes_the_number_of_workers(daemon):
    daemon.settings["workers"] = 3
    daemon.write_config()
    daemon.reload()
    assert len(daemon.workers()) == 3


def test_reload_adds_and_removes_listeners(postern, folder):
    daemon = postern(plugins=["reject_null_sender"])
    first = daemon.listen[0]
    daemon.settings["listen"] = daemon.listen = [first, f"unix:{folder}/socket"]
    daemon.write_config()
    daemon.reload()
    with daemon.policy(1) as client:
        assert client.rcpt() == "DUNNO"
    daemon.settings["listen"] = daemon.listen = [f"unix:{folder}/socket"]
    daemon.write_config()
    daemon.reload()
    with daemon.policy(0) as client:
        assert client.rcpt() == "DUNNO"
    daemon.listen = [first]
    with pytest.raises(ConnectionRefusedError):
        daemon.policy()


def test_ten_reloads_under_load_fail_no_request_and_close_no_connection(daemon):
    with Load(daemon.policy, clients=16) as load:
        for _ in range(10):
            goal = load.count() + 100
            wait_for(lambda: load.count() >= goal or load.errors, "more answers")
            before = daemon.metrics()
            daemon.reload()
            assert_never_backwards(before, daemon.metrics())
    assert load.errors == []
    assert set(load.answers) == {DEFERRED}
    daemon.wait_for_metric(len(load.answers), "postern_requests_total")
    assert daemon.metrics().sum("postern_worker_restarts_total") == 0


def test_reloads_one_upon_the_other_fail_no_request(daemon):
    with Load(daemon.policy, clients=8) as load:
        for _ in range(20):
            goal = load.count() + 20
            daemon.signal(signal.SIGHUP)
            wait_for(lambda: load.count() >= goal or load.errors, "more answers")
        daemon.reload()
    assert load.errors == []


def test_idle_connections_survive_a_reload(daemon):
    clients = [daemon.policy() for _ in range(50)]
    for client in clients:
        assert client.rcpt() == DEFERRED
    daemon.reload()
    for client in clients:
        assert client.rcpt() == DEFERRED
        client.close()


def test_connection_inside_a_request_survives_a_reload(daemon):
    data = encode(rcpt())
    with daemon.policy() as client:
        client.send(data[:60])
        old = daemon.workers()
        daemon.signal(signal.SIGHUP)
        wait_for(lambda: len(daemon.workers() - old) == 2, "the new generation")
        client.send(data[60:])
        assert client.read_action() == DEFERRED
        assert client.rcpt() == DEFERRED


def test_bad_config_on_reload_is_refused_and_the_old_one_kept(daemon):
    lines = daemon.config.read_text().count("\n")
    daemon.write_config(extra="workers_ = 3\n")
    workers = daemon.workers()
    with daemon.policy() as client:
        client.rcpt()
        daemon.signal(signal.SIGHUP)
        line = daemon.wait_for_log(f"{daemon.config}:{lines + 1}: ")[0]
        assert "workers_" in line
        assert client.rcpt() == DEFERRED
    assert daemon.workers() == workers
    daemon.write_config()
    daemon.reload()
    assert daemon.ask(rcpt()) == DEFERRED


def test_config_that_cannot_be_started_is_refused_on_reload(daemon):
    workers = daemon.workers()
    daemon.sections['database "iredapd"'] = {"driver": "sqlite",
                                             "path": daemon.folder / "missing.db"}
    daemon.write_config()
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_log("posternctl")
    daemon.wait_for_log("the running configuration stays")
    assert daemon.workers() == workers
    assert daemon.ask(rcpt()) == DEFERRED


# --- SIGTERM ---

def test_sigterm_ends_with_status_0(daemon):
    daemon.stop()


def test_sigterm_lets_idle_connections_go(daemon):
    with daemon.policy() as client:
        client.rcpt()
        daemon.signal(signal.SIGTERM)
        assert client.is_closed_by_peer()
    assert daemon.process.wait(60) == 0


def test_request_in_flight_at_sigterm_is_answered(daemon):
    with daemon.policy() as client:
        client.rcpt()
        writer = sqlite3.connect(daemon.database.path, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        client.send(encode(rcpt(recipient="else@example.org")))
        daemon.signal(signal.SIGTERM)
        wait_for(lambda: any("stopping" in line for line in daemon.log_lines()), "the stop")
        writer.execute("ROLLBACK")
        writer.close()
        assert client.read_action() == DEFERRED
    assert daemon.process.wait(60) == 0


def test_half_a_request_at_sigterm_may_be_finished(daemon):
    data = encode(rcpt())
    with daemon.policy() as client:
        client.rcpt()
        client.send(data[:100])
        with daemon.policy() as idle:
            idle.rcpt()
            daemon.signal(signal.SIGTERM)
            assert idle.is_closed_by_peer()
        client.send(data[100:])
        assert client.read_action() == DEFERRED
    assert daemon.process.wait(60) == 0


def test_client_that_never_ends_its_request_does_not_stop_the_stop(postern):
    daemon = postern(plugins=["reject_null_sender"], drain_timeout="1s")
    with daemon.policy() as client:
        client.send(encode(rcpt())[:100])
        daemon.stop()


def test_stop_under_load_answers_all_that_was_asked(daemon):
    with Load(daemon.policy, clients=8) as load:
        wait_for(lambda: load.count() > 100, "some answers")
        daemon.stop()
    assert set(load.answers) == {DEFERRED}


def test_files_of_the_daemon_are_gone_after_the_stop(postern, folder):
    daemon = postern(plugins=["reject_null_sender"], listen=[f"unix:{folder}/socket"])
    assert (daemon.folder / "posternd.pid").exists() and (folder / "socket").exists()
    daemon.stop()
    assert not (daemon.folder / "posternd.pid").exists()
    assert not (folder / "socket").exists()


# --- starting ---

def test_children_run_as_the_configured_user(daemon):
    for pid in daemon.children():
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            uids = next(line.split()[1:] for line in status if line.startswith("Uid:"))
        assert set(uids) == {"65534"}


def test_pid_file_names_the_master(daemon):
    assert (daemon.folder / "posternd.pid").read_text() == f"{daemon.pid}\n"


def test_second_instance_is_refused(daemon):
    second = daemon.run("-f", "-c", daemon.config)
    assert second.returncode == 1
    line, = second.stderr.splitlines()
    assert str(daemon.pid) in line
    assert daemon.ask(rcpt()) == DEFERRED
    assert (daemon.folder / "posternd.pid").read_text() == f"{daemon.pid}\n"


@pytest.fixture
def background_daemon(postern, syslog):
    """Not started yet, and not to write to the terminal once it is."""
    def make(**settings):
        return postern(start=False, log={"target": "syslog", "syslog_socket": syslog.path},
                       **settings)
    return make


def test_without_f_it_goes_to_the_background(background_daemon):
    daemon = background_daemon(plugins=["reject_null_sender"])
    assert daemon.run_in_background() == (0, "")
    pid = daemon.pid_of_file()
    assert daemon.ask(rcpt()) == "DUNNO"
    assert os.getsid(pid) == pid
    for fd in range(3):
        assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null"
    os.kill(pid, signal.SIGTERM)
    daemon.assert_no_process_left()


def test_start_that_fails_in_the_background_is_told(background_daemon):
    status, output = background_daemon(plugins=["no_such_plugin"], init=False).run_in_background()
    assert status == 1
    assert "no_such_plugin" in output


def test_usr1_leaves_everything_running(daemon):
    children = daemon.children()
    with daemon.policy() as client:
        client.rcpt()
        daemon.signal(signal.SIGUSR1)
        for pid in children:
            os.kill(pid, signal.SIGUSR1)
        assert client.rcpt() == DEFERRED
    assert daemon.children() == children


# --- options ---

def test_t_accepts_a_good_config(postern):
    daemon = postern(plugins=["greylisting"], start=False, init=False)
    done = daemon.run("-t", "-c", daemon.config)
    assert (done.returncode, done.stderr) == (0, "")


def test_t_refuses_a_bad_config_and_names_every_mistake(postern):
    daemon = postern(start=False, init=False)
    lines = daemon.config.read_text().count("\n")
    daemon.write_config(extra='drain_timeout = "soon"\ncolour = "red"\n')
    done = daemon.run("-t", "-c", daemon.config)
    assert done.returncode == 1
    assert [f"{daemon.config}:{lines + number}: " in line for number, line
            in enumerate(done.stderr.splitlines(), 1)] == [True, True]


def test_v_prints_the_version(build):
    done = subprocess.run([build / "src/posternd", "-V"], capture_output=True, text=True,
                          timeout=30, check=True)
    assert done.stdout.startswith("posternd ") and done.stderr == ""


def test_h_prints_the_options(build):
    done = subprocess.run([build / "src/posternd", "-h"], capture_output=True, text=True,
                          timeout=30, check=True)
    assert all(option in done.stdout for option in ("-c", "-f", "-t", "-V", "-h"))


@pytest.mark.parametrize("arguments", [["-x"], ["-c"], ["left over"]])
def test_wrong_usage_is_refused(build, arguments):
    done = subprocess.run([build / "src/posternd", *arguments], capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr
