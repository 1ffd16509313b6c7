"""The resolver against servers that answer late, wrongly or never."""
import contextlib
import json
import os
import subprocess
import threading

import pytest

from harness.build import is_sanitized
from harness.daemon import SANITIZER_WORDS
from harness.dns import DnsServer
from harness.ports import free_port
from harness.wait import wait_for

PATIENCE = 60


class Resolver:
    """A process with the resolver in it; questions are numbered."""

    def __init__(self, build, servers=(), timeout=1, resolv_conf=None):
        arguments = [f"timeout={timeout}"]
        if servers:
            arguments.append("servers=" + ",".join(servers))
        environment = {**os.environ}
        if resolv_conf is not None:
            environment["POSTERN_RESOLV_CONF"] = str(resolv_conf)
        self.process = subprocess.Popen(
            [build / "tests/integration/dns_check", *arguments], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment)
        self.asked, self.answers, self.order = 0, {}, []
        self.arrived = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            with self.arrived:
                self.answers[answer["id"]] = answer
                self.order.append(answer["id"])
                self.arrived.notify_all()

    def send(self, kind, name, seconds=PATIENCE):
        """Asks; the answer is had with wait()."""
        self.asked += 1
        self.process.stdin.write(f"{self.asked} {kind} {seconds} {name}\n")
        return str(self.asked)

    def wait(self, number):
        with self.arrived:
            assert self.arrived.wait_for(lambda: number in self.answers, PATIENCE), number
            return self.answers[number]

    def ask(self, kind, name, seconds=PATIENCE):
        return self.wait(self.send(kind, name, seconds))

    def status(self, kind, name, seconds=PATIENCE):
        return self.ask(kind, name, seconds)["status"]

    def is_answered(self, number):
        with self.arrived:
            return number in self.answers

    def memory(self):
        """Resident, in MB."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as status:
            line = next(line for line in status if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def close(self):
        self.process.stdin.close()
        self.reader.join(PATIENCE)
        stderr = self.process.stderr.read()
        assert self.process.wait(PATIENCE) == 0, stderr
        assert not any(word in stderr for word in SANITIZER_WORDS), stderr


ZONES = {
    "a.example": {"A": ["192.0.2.1", "192.0.2.2"], "AAAA": ["2001:db8::1"],
                  "TXT": [["v=spf1 ", "-all"], "second"],
                  "MX": [[20, "Backup.A.example"], [10, "mx.a.example"]]},
    "null-mx.example": {"MX": [[0, ""]]},
    "7.2.0.192.in-addr.arpa": {"PTR": ["Host.A.example"]},
    "www.example": {"CNAME": ["web.example"]},
    "web.example": {"CNAME": ["a.example"]},
    "piece.example": {"CNAME": ["www.example"], "follow": False},
    "dangling.example": {"CNAME": ["nowhere.example"]},
    "circle.example": {"CNAME": ["elcric.example"]},
    "elcric.example": {"CNAME": ["circle.example"]},
    "steps-circle.example": {"CNAME": ["selcric.example"], "follow": False},
    "selcric.example": {"CNAME": ["steps-circle.example"], "follow": False},
    "servfail.example": {"rcode": "SERVFAIL"},
    "refused.example": {"rcode": "REFUSED"},
    "silent.example": {"silent": True},
    "lost.example": {"A": ["192.0.2.3"], "silent_times": 1},
    "other-id.example": {"A": ["192.0.2.3"], "other_id": True},
    "other-question.example": {"A": ["192.0.2.3"], "other_question": "a.example"},
    "other-owner.example": {"A": ["192.0.2.3"], "other_owner": "b.example"},
    "loop.example": {"A": ["192.0.2.3"], "loop": True},
    "cut.example": {"raw": "c00c00010001000000ff00ff01"},
    "lies.example": {"raw": "", "counts": [65535, 65535, 65535]},
    "truncated.example": {"A": ["192.0.2.3"], "truncated": True},
    "no-tcp.example": {"A": ["192.0.2.3"], "truncated": True, "tcp": False},
    "long.example": {"TXT": ["x" * 60000]},
    "many.example": {"A": [f"10.0.{i // 250}.{i % 250 + 1}" for i in range(1500)]},
    "no-edns.example": {"A": ["192.0.2.3"], "edns": False},
    "nul.example": {"TXT": ["a\0b"]},
}


@pytest.fixture(scope="module")
def server():
    with DnsServer(ZONES) as running:
        yield running


@contextlib.contextmanager
def open_resolver(build, *servers, **options):
    resolver = Resolver(build, [each.address for each in servers], **options)
    try:
        yield resolver
        resolver.close()
    finally:
        resolver.process.kill()


@pytest.fixture
def resolver(build, server):
    with open_resolver(build, server) as opened:
        yield opened


@pytest.fixture
def own_server():
    with DnsServer() as running:
        yield running


@pytest.fixture
def own_resolver(build, own_server):
    with open_resolver(build, own_server) as opened:
        yield opened


# --- answers ---

@pytest.mark.parametrize("kind, name, records", [
    ("A", "a.example", [["192.0.2.1"], ["192.0.2.2"]]),
    ("A", "A.Example.", [["192.0.2.1"], ["192.0.2.2"]]),
    ("AAAA", "a.example", [["2001:db8::1"]]),
    ("TXT", "a.example", [[11, "v=spf1 -all"], [6, "second"]]),
    ("TXT", "nul.example", [[3, "a"]]),
    ("MX", "a.example", [[20, "backup.a.example"], [10, "mx.a.example"]]),
    ("MX", "null-mx.example", [[0, ""]]),
    ("PTR", "7.2.0.192.in-addr.arpa", [["host.a.example"]]),
])
def test_records_are_returned_in_the_order_received(resolver, kind, name, records):
    answer = resolver.ask(kind, name)
    assert (answer["status"], answer["records"]) == ("found", records)


@pytest.mark.parametrize("kind, name, status", [
    ("MX", "nul.example", "no_data"),
    ("A", "example", "no_data"),
    ("A", "missing.example", "no_name"),
    ("A", "dangling.example", "no_name"),
    ("AAAA", "web.example", "found"),
    ("PTR", "web.example", "no_data"),
    ("TXT", "servfail.example", "failed"),
    ("TXT", "refused.example", "failed"),
])
def test_kinds_of_nothing_are_told_apart(resolver, kind, name, status):
    assert resolver.status(kind, name) == status


@pytest.mark.parametrize("name", [
    "a..example", ".example", ".", "x" * 64 + ".example", ".".join(["x" * 60] * 5)])
def test_name_that_is_none_is_no_name_without_a_query(resolver, server, name):
    before = server.count()
    assert resolver.status("A", name) == "no_name"
    assert server.count() == before


@pytest.mark.parametrize("name", ["www.example", "web.example", "piece.example"])
def test_aliases_are_followed(resolver, name):
    assert resolver.ask("A", name)["records"] == [["192.0.2.1"], ["192.0.2.2"]]


@pytest.mark.parametrize("name", ["circle.example", "steps-circle.example"])
def test_aliases_in_a_circle_fail_after_bounded_work(resolver, server, name):
    before = server.count()
    assert resolver.status("A", name) == "failed"
    assert server.count() - before <= 10


def test_failure_says_what_was_asked_and_why(resolver):
    assert resolver.ask("TXT", "servfail.example")["failure"].startswith(
        "TXT of servfail.example: each server failed")
    assert resolver.ask("MX", "silent.example")["failure"] == (
        "MX of silent.example: no server has answered in time")


# --- hostile and broken servers ---

@pytest.mark.parametrize("name, status", [
    ("other-id.example", "failed"),
    ("other-question.example", "failed"),
    ("other-owner.example", "no_data"),
    ("loop.example", "failed"),
    ("cut.example", "failed"),
    ("lies.example", "failed"),
    ("no-tcp.example", "failed"),
])
def test_wrong_answer_is_not_believed(resolver, name, status):
    assert resolver.status("A", name) == status
    assert resolver.status("A", "a.example") == "found"


def test_lost_answer_is_asked_for_again(resolver):
    assert resolver.status("A", "lost.example") == "found"


def test_truncated_answer_is_asked_for_by_tcp(resolver, server):
    assert resolver.ask("A", "truncated.example")["records"] == [["192.0.2.3"]]
    assert server.by_tcp["truncated.example", "A"] == 1


def test_text_of_60_kilobytes_is_read_whole(resolver):
    assert resolver.ask("TXT", "long.example")["records"] == [[60000, "x" * 60000]]


def test_many_records_are_all_read(resolver):
    assert len(resolver.ask("A", "many.example")["records"]) == 1500


def test_answer_that_takes_too_much_memory_fails(build, own_server):
    pointers = "c00c000f00010000003c0004" + "0000" + "c00c"
    name = ".".join(["x" * 60] * 4)
    own_server.set(name, raw=pointers * 1000, counts=[1000, 0, 0], truncated=True)
    with open_resolver(build, own_server) as resolver:
        answer = resolver.ask("MX", name)
        assert answer["status"] == "failed" and "more than 128 KB" in answer["failure"]


def test_server_without_edns_is_asked_without_it(resolver):
    numbers = [resolver.send(kind, "no-edns.example") for kind in ("A", "AAAA", "TXT")]
    assert [resolver.wait(number)["status"] for number in numbers] == [
        "found", "no_data", "no_data"]


def test_server_that_refuses_edns_late_is_not_asked_for_ever(own_server, own_resolver):
    own_server.set("late.example", silent_times=1, silent_after=2, rcode="FORMERR")
    assert own_resolver.status("A", "late.example") == "failed"
    assert own_server.count() == 3


# --- servers ---

def test_next_server_is_asked_where_one_is_silent_and_first_from_then_on(build, own_server):
    with DnsServer(ZONES) as second:
        own_server.set("*.example", silent=True)
        own_server.update({name: {"silent": True} for name in ("a.example", "www.example")})
        with open_resolver(build, own_server, second) as resolver:
            assert resolver.status("A", "a.example") == "found"
            before = own_server.count()
            assert resolver.status("A", "www.example") == "found"
            assert resolver.status("TXT", "a.example") == "found"
            assert own_server.count() == before


def test_next_server_is_asked_where_one_fails(build, server, own_server):
    own_server.set("a.example", rcode="SERVFAIL")
    with open_resolver(build, own_server, server) as resolver:
        assert resolver.status("A", "a.example") == "found"


def test_server_that_is_not_there_is_a_failure_at_once(build):
    resolver = Resolver(build, [f"127.0.0.1:{free_port()}"], timeout=60)
    try:
        assert resolver.status("A", "a.example") == "failed"
        resolver.close()
    finally:
        resolver.process.kill()


def test_ipv6_server_is_asked(build):
    with DnsServer(ZONES, ip="::1") as server, open_resolver(build, server) as resolver:
        assert resolver.status("A", "a.example") == "found"


def test_resolv_conf_is_followed_while_old_queries_finish(build, folder, own_server):
    with DnsServer({"*.example": {"A": ["192.0.2.9"]}}) as other:
        own_server.set("late.example", A=["192.0.2.3"], delay=1.5)
        own_server.set("*.example", A=["192.0.2.3"])
        file = folder / "resolv.conf"
        file.write_text(f"# a comment\nsearch example\n nameserver\t{own_server.address} \n")
        with open_resolver(build, timeout=5, resolv_conf=file) as resolver:
            late = resolver.send("A", "late.example")
            wait_for(lambda: own_server.count("late.example"), "the first query")
            new = folder / "new"
            new.write_text(f"nameserver {other.address}\n")
            new.rename(file)
            names = iter(range(10000))
            wait_for(lambda: resolver.ask("A", f"n{next(names)}.example")["records"]
                     == [["192.0.2.9"]], "the new server")
            assert resolver.wait(late)["records"] == [["192.0.2.3"]]


def test_resolv_conf_that_goes_away_changes_nothing(build, folder, own_server):
    own_server.set("*.example", A=["192.0.2.3"])
    file = folder / "resolv.conf"
    file.write_text(f"nameserver {own_server.address}\n")
    with open_resolver(build, resolv_conf=file) as resolver:
        assert resolver.status("A", "1.example") == "found"
        file.unlink()
        assert resolver.status("A", "2.example") == "found"


# --- what is remembered ---

def test_answer_is_remembered_for_its_ttl(own_server, own_resolver):
    own_server.set("a.example", A=["192.0.2.1"], ttl=1)
    own_server.set("b.example", A=["192.0.2.1"], ttl=600)
    for _ in range(10):
        assert own_resolver.status("A", "b.example") == "found"
    assert own_server.count("b.example") == 1
    assert own_resolver.status("A", "a.example") == "found"
    own_server.set("a.example", A=["192.0.2.9"], ttl=1)
    wait_for(lambda: own_resolver.ask("A", "a.example")["records"] == [["192.0.2.9"]],
             "the end of the TTL")


def test_ttl_of_an_alias_counts(own_server, own_resolver):
    own_server.set("alias.example", CNAME=["a.example"], ttl=0)
    own_server.set("a.example", A=["192.0.2.1"], ttl=600)
    for _ in range(2):
        assert own_resolver.status("A", "alias.example") == "found"
    assert own_server.count("alias.example") == 2


def test_nothing_is_remembered_by_the_minimum_of_the_soa(own_server, own_resolver):
    own_server.set("none.example", rcode="NXDOMAIN", negative_ttl=600)
    own_server.set("gone.example", rcode="NXDOMAIN", negative_ttl=0)
    own_server.set("empty.example", negative_ttl=600)
    own_server.set("no-soa.example", negative_ttl=None)
    for _ in range(3):
        assert own_resolver.status("A", "none.example") == "no_name"
        assert own_resolver.status("A", "gone.example") == "no_name"
        assert own_resolver.status("A", "empty.example") == "no_data"
        assert own_resolver.status("A", "no-soa.example") == "no_data"
    counts = [own_server.count(f"{name}.example") for name in ("none", "gone", "empty", "no-soa")]
    assert counts == [1, 3, 1, 3]


def test_failure_is_not_remembered(own_server, own_resolver):
    own_server.set("a.example", rcode="SERVFAIL")
    assert own_resolver.status("A", "a.example") == "failed"
    own_server.set("a.example", A=["192.0.2.1"])
    assert own_resolver.status("A", "a.example") == "found"


def test_equal_questions_are_asked_once(own_server, own_resolver):
    own_server.set("a.example", A=["192.0.2.1"], ttl=0, delay=0.5)
    numbers = [own_resolver.send("A", name) for name in ("a.example", "A.EXAMPLE.") * 100]
    assert all(own_resolver.wait(number)["status"] == "found" for number in numbers)
    assert own_server.count("a.example") == 1


def test_remembered_answers_are_bounded(own_server, build):
    text = "x" * 30000
    own_server.set("*.example", TXT=[text], ttl=3600)
    with open_resolver(build, own_server, timeout=20) as resolver:
        for turn in range(12):
            numbers = [resolver.send("TXT", f"{turn}.{i}.example") for i in range(100)]
            assert all(resolver.wait(number)["status"] == "found" for number in numbers)
        # 36 MB were received, each by TCP; 16 MB are kept
        assert resolver.status("TXT", "11.99.example") == "found"
        assert own_server.by_tcp["11.99.example", "TXT"] == 1
        assert resolver.status("TXT", "0.0.example") == "found"
        assert own_server.by_tcp["0.0.example", "TXT"] == 2


# --- together ---

def test_tcp_that_fails_takes_no_other_question_with_it(own_server, own_resolver):
    own_server.set("no-tcp.example", TXT=["x" * 2000], tcp=False)
    own_server.set("*.slow.example", A=["192.0.2.1"], delay=0.5)
    slow = [own_resolver.send("A", f"{i}.slow.example") for i in range(10)]
    wait_for(lambda: own_server.count() == 10, "all queries")
    assert own_resolver.status("TXT", "no-tcp.example") == "failed"
    assert [own_resolver.wait(number)["status"] for number in slow] == ["found"] * 10



def test_slow_question_delays_no_other(own_server, own_resolver):
    own_server.set("silent.example", silent=True)
    own_server.set("*.fast.example", A=["192.0.2.1"])
    slow = own_resolver.send("A", "silent.example")
    for i in range(50):
        assert own_resolver.status("A", f"{i}.fast.example") == "found"
    assert not own_resolver.is_answered(slow)
    assert own_resolver.wait(slow)["status"] == "failed"


def test_deadline_ends_the_wait_but_not_that_of_others(own_server, build):
    own_server.set("late.example", A=["192.0.2.1"], delay=2)
    with open_resolver(build, own_server, timeout=10) as resolver:
        patient = resolver.send("A", "late.example")
        answer = resolver.ask("A", "late.example", seconds=0.2)
        assert answer["status"] == "failed"
        assert answer["failure"] == "A of late.example: no answer before the deadline"
        assert not resolver.is_answered(patient)
        assert resolver.wait(patient)["status"] == "found"


def test_thousand_slow_questions_are_answered_together(own_server, build):
    own_server.set("*.slow.example", A=["192.0.2.1"], delay=2)
    with open_resolver(build, own_server, timeout=20) as resolver:
        idle = resolver.memory()
        numbers = [resolver.send("A", f"{i}.slow.example") for i in range(1000)]
        wait_for(lambda: own_server.count() == 1000, "all queries")
        grown = resolver.memory() - idle
        assert all(resolver.wait(number)["status"] == "found" for number in numbers)
        assert own_server.count() == 1000
        assert len(own_server.sources) > 20, "source ports are guessed easily"
        if not is_sanitized(build):
            assert grown < 40, f"{grown:.0f} MB"


def test_questions_beyond_the_bound_fail_at_once(own_server, build):
    own_server.set("*.silent.example", silent=True)
    own_server.set("a.example", A=["192.0.2.1"])
    with open_resolver(build, own_server, timeout=4) as resolver:
        assert resolver.status("A", "a.example") == "found"
        numbers = [resolver.send("A", f"{i}.silent.example", 0.001) for i in range(10000)]
        for number in numbers:
            resolver.wait(number)
        answer = resolver.ask("TXT", "a.example")
        assert answer["status"] == "failed" and "are under way" in answer["failure"]
        assert resolver.status("A", "a.example") == "found"
        wait_for(lambda: resolver.status("TXT", "a.example") == "no_data", "an end")
