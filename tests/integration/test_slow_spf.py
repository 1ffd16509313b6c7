"""Senders whose SPF records take all the time there is: they wait, and nobody else does."""
import contextlib
import select
import time

import pytest

from harness.dns import DnsServer
from harness.load import Load
from harness.policy import encode, rcpt
from harness.wait import wait_for

SLOW = 50
LIMIT = 2  # spf_timeout
MOST_RECORDS = 11  # the sender's own, and those of ten terms

ZONES = {
    "*.late.example": {"TXT": ["v=spf1 include:n.%{d} -all"], "delay": 0.25},
    "*.silent.example": {"silent": True},
    "*.hosts.example": {"TXT": ["v=spf1 " + " ".join(f"a:h{i}.%{{d}}" for i in range(40))],
                        "A": ["203.0.113.1"], "delay": 0.05},
    "*.ordinary.example": {"TXT": ["v=spf1 ip4:192.0.2.0/24 -all"]},
    "forged.ordinary.example": {"TXT": ["v=spf1 -all"]},
}


@pytest.fixture
def dns():
    with DnsServer(ZONES) as server:
        yield server


@pytest.fixture
def daemon(postern, dns):
    return postern(plugins=["spf", "greylisting"], options={"spf": {"on_temperror": "defer"}},
                   sections={"dns": dns.section(timeout="5s")}, spf_timeout=f"{LIMIT}s")


@contextlib.contextmanager
def slow_mail(daemon, zone):
    """Requests that have not been answered; all are at the DNS."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(daemon.policy()) for _ in range(SLOW)]
        for number, client in enumerate(clients):
            client.send(encode(rcpt(sender=f"a@s{number}.{zone}", instance=f"slow.{number}")))
        yield clients


def answered(clients):
    return select.select([client.socket for client in clients], [], [], 0)[0]


def queries_of(dns, number, zone):
    """Of one sender's evaluation, from the server's own counts."""
    end = f"s{number}.{zone}"
    with dns.lock:
        return sum(count for (name, _), count in dns.asked.items()
                   if name == end or name.endswith(f".{end}"))


@pytest.mark.parametrize("zone", ["late.example", "silent.example"])
def test_ordinary_mail_is_answered_while_slow_senders_wait(daemon, dns, zone):
    with slow_mail(daemon, zone) as clients:
        wait_for(lambda: all(queries_of(dns, i, zone) for i in range(SLOW)), "the first queries")
        for number in range(20):
            sender = f"a@d{number}.ordinary.example"
            assert daemon.ask(rcpt(sender=sender)).startswith("451 4.7.1 ")
            assert daemon.ask(rcpt(sender="a@forged.ordinary.example")).startswith("550 5.7.23 ")
        assert not answered(clients), "it took too long to show anything"
        for client in clients:
            assert client.read_action().startswith("451 4.4.3 ")


def test_slow_senders_get_temperror_when_their_time_is_over(daemon):
    begin = time.monotonic()
    with slow_mail(daemon, "late.example") as clients:
        for client in clients:
            answer = client.read_action()
            assert answer.startswith("451 4.4.3 SPF check of MAIL FROM could not be done: ")
            assert time.monotonic() - begin >= LIMIT
    daemon.wait_for_metric(SLOW, "postern_spf_results_total", result="temperror")


@pytest.mark.parametrize("zone", ["late.example", "silent.example", "hosts.example"])
def test_no_evaluation_sends_more_queries_than_the_limits_allow(daemon, dns, zone):
    with slow_mail(daemon, zone) as clients:
        for client in clients:
            client.read_action()
        counts = [queries_of(dns, number, zone) for number in range(SLOW)]
    assert 1 <= min(counts) and max(counts) <= MOST_RECORDS


def test_all_ordinary_mail_of_the_meantime_is_answered(daemon):
    with slow_mail(daemon, "late.example") as clients, \
            Load(daemon.policy, request=lambda **more: rcpt(sender="a@b.ordinary.example", **more)
                 ) as load:
        for client in clients:
            assert client.read_action().startswith("451 4.4.3 ")
    assert not load.errors
    assert load.count() > 0 and all(answer.startswith("451 4.7.1 ") for answer in load.answers)
