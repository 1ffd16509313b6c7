"""The Prometheus endpoint: names, sums, form, limits."""
import http.client
import os
import shutil
import socket
import subprocess

import pytest

from harness.load import Load
from harness.policy import encode, end_of_message, rcpt
from harness.wait import wait_for

NAMES = {
    "postern_build_info": "gauge", "postern_workers": "gauge",
    "postern_worker_restarts_total": "counter", "postern_connections": "gauge",
    "postern_requests_total": "counter", "postern_request_duration_seconds": "histogram",
    "postern_actions_total": "counter", "postern_plugin_duration_seconds": "histogram",
    "postern_shadow_actions_total": "counter", "postern_loop_lag_seconds": "histogram",
    "postern_db_queries_total": "counter", "postern_db_query_duration_seconds": "histogram",
    "postern_db_pool_in_use": "gauge", "postern_db_up": "gauge",
    "postern_protocol_errors_total": "counter",
}
NULL_SENDER = {"sender": "", "sasl_username": "user@example.org"}


@pytest.fixture
def daemon(postern):
    return postern(plugins=["reject_null_sender", "greylisting"],
                   options={"reject_null_sender": {"shadow": True}})


@pytest.mark.parametrize("name", NAMES)
def test_metric_of_the_contract_is_there(daemon, name):
    daemon.ask(rcpt())
    metrics = daemon.metrics()
    assert name in metrics.names()
    assert metrics.types[name] == NAMES[name]


def test_labels_are_those_of_the_contract(daemon):
    daemon.ask(rcpt())
    daemon.wait_for_metric(1, "postern_requests_total", state="RCPT")
    metrics = daemon.metrics()
    assert any(series.startswith('postern_build_info{version="') for series in metrics)
    assert metrics.sum("postern_actions_total", plugin="greylisting", action="defer") == 1
    assert metrics.sum("postern_plugin_duration_seconds_count", plugin="greylisting") == 1
    assert metrics.sum("postern_db_queries_total", database="iredapd") >= 2
    assert metrics.sum("postern_db_query_duration_seconds_count", database="iredapd") >= 2
    assert metrics.sum("postern_db_up", database="iredapd") == 1
    assert metrics.sum("postern_db_pool_in_use", database="iredapd") == 0
    assert metrics.sum("postern_workers") == 2


def test_actions_are_the_words_of_the_contract(daemon):
    words = {series.partition('action="')[2].partition('"')[0] for series in daemon.metrics()
             if series.startswith(("postern_actions_total", "postern_shadow_actions_total"))}
    assert words <= {"dunno", "accept", "reject", "defer", "discard", "prepend"}


def test_counters_add_up(daemon):
    with Load(daemon.policy, clients=6) as load:
        wait_for(lambda: load.count() >= 300, "some answers")
    daemon.ask(end_of_message())
    daemon.ask(rcpt(**NULL_SENDER))
    total = len(load.answers) + 2
    daemon.wait_for_metric(total, "postern_requests_total")
    metrics = daemon.metrics()
    assert metrics.sum("postern_requests_total", state="END-OF-MESSAGE") == 1
    assert metrics.sum("postern_request_duration_seconds_count") == total
    assert metrics.sum("postern_actions_total", plugin="greylisting",
                       action="defer") == len(load.answers)
    assert metrics.sum("postern_shadow_actions_total", plugin="reject_null_sender",
                       action="reject") == 1


def test_every_request_has_one_action(daemon):
    requests = [rcpt(), rcpt(), end_of_message(), rcpt(**NULL_SENDER), rcpt(protocol_state="DATA")]
    for request in requests:
        daemon.ask(request)
    daemon.wait_for_metric(len(requests), "postern_requests_total")
    assert daemon.metrics().sum("postern_actions_total") == len(requests)


def test_connections_are_counted_while_they_are_open(daemon):
    clients = [daemon.policy() for _ in range(7)]
    for client in clients:
        client.rcpt()
    daemon.wait_for_metric(7, "postern_connections")
    for client in clients:
        client.close()
    wait_for(lambda: daemon.metrics().sum("postern_connections") == 0, "the connections to end")


def test_histograms_are_whole(daemon):
    for _ in range(20):
        daemon.ask(rcpt())
    metrics = daemon.metrics()
    histograms = metrics.histograms()
    assert histograms
    for (name, labels), buckets in histograms.items():
        braces = "{" + labels + "}" if labels else ""
        bounds, counts = zip(*buckets)
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == float("inf"), name
        assert list(counts) == sorted(counts), name
        assert counts[-1] == metrics[f"{name}_count{braces}"], name
        assert metrics[f"{name}_sum{braces}"] >= 0


def test_state_that_postfix_does_not_know_makes_no_new_series(daemon):
    before = set(daemon.metrics())
    for number in range(50):
        daemon.ask(rcpt(protocol_state=f"EVIL-{number}\"}}"))
    assert not [series for series in daemon.metrics() if "EVIL" in series]
    assert set(daemon.metrics()) == before


def test_failed_queries_are_counted_and_the_database_is_not_hidden(daemon):
    daemon.database.execute("DROP TABLE greylisting_tracking")
    daemon.ask(rcpt())
    assert daemon.metrics().sum("postern_db_queries_total", result="failed") >= 1


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_is_content(daemon):
    daemon.ask(rcpt())
    with daemon.http("/metrics") as answer:
        done = subprocess.run(["promtool", "check", "metrics"], input=answer.read(),
                              capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and done.stdout + done.stderr == b""


# --- the endpoint ---

def test_content_type_names_the_format(daemon):
    with daemon.http("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/metricsx", "/../etc/passwd"])
def test_other_paths_are_not_found(daemon, path):
    assert daemon.http(path).status == 404


def test_head_gives_headers_only(daemon):
    answer = daemon.http("/metrics", method="HEAD")
    assert answer.status == 200 and answer.read() == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(daemon, method):
    answer = daemon.http("/metrics", method=method, data=b"x=1" if method == "POST" else None)
    assert answer.status == 405
    assert "GET" in answer.headers["Allow"]


def test_many_scrapes_on_one_connection(daemon):
    connection = http.client.HTTPConnection(daemon.metrics_address, timeout=30)
    for _ in range(20):
        connection.request("GET", "/metrics")
        assert b"postern_workers" in connection.getresponse().read()
    connection.close()


def open_http(daemon):
    host, _, port = daemon.metrics_address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=60)


@pytest.mark.parametrize("data", [
    b"\0\0\0\0\r\n\r\n", b"nonsense\n\n", b"GET " + b"/x" * 100000 + b" HTTP/1.1\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 50000 + b"\r\n"],
    ids=["NUL", "nonsense", "long path", "many headers"])
def test_what_is_no_http_costs_nobody_anything(daemon, data):
    with open_http(daemon) as connection:
        try:
            connection.sendall(data)
            connection.recv(1000)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert daemon.http("/metrics").status == 200


def test_idle_http_connections_do_not_lock_others_out(daemon):
    connections = [open_http(daemon) for _ in range(80)]
    wait_for(lambda: scrape_works(daemon), "the endpoint to answer", seconds=60)
    for connection in connections:
        connection.close()


def scrape_works(daemon):
    try:
        return daemon.http("/metrics").status == 200
    except OSError:
        return False


def test_scrapes_do_not_hold_up_requests(daemon):
    with daemon.policy() as client, open_http(daemon) as slow:
        slow.send(b"GET /metrics HTTP/1.1\r\n")
        for _ in range(20):
            assert client.rcpt().startswith("451")


def test_endpoint_can_be_switched_off(postern):
    daemon = postern(plugins=["reject_null_sender"], metrics=False)
    assert daemon.ask(rcpt()) == "DUNNO"


def test_lag_of_the_loop_is_observed(daemon):
    with daemon.policy() as client:
        client.send(encode(rcpt()) * 20)
        for _ in range(20):
            client.read_action()
    wait_for(lambda: daemon.metrics().sum("postern_loop_lag_seconds_count") > 0, "lag")


def test_counters_survive_reloads_and_restarts(daemon):
    for _ in range(5):
        daemon.ask(rcpt())
    daemon.wait_for_metric(5, "postern_requests_total")
    daemon.reload()
    daemon.wait_for_metric(5, "postern_requests_total")
    for pid in daemon.workers():
        os.kill(pid, 9)
        daemon.wait_for_workers(without=pid)
    daemon.wait_for_metric(5, "postern_requests_total")
