"""The plugin senderscore, its table, and posternctl senderscore."""
import json

import pytest

from harness.dns import DnsServer
from harness.policy import encode, rcpt
from harness.wait import wait_for

ZONE = "score.test"
CLIENT = "192.0.2.7"
NAME = f"7.2.0.192.{ZONE}"
DAY = 86400
FOREVER = 2147483647


def rejected(client=CLIENT):
    return ("REJECT Server IP address has bad reputation. FYI: "
            f"https://www.senderscore.org/lookup.php?lookup={client}")


@pytest.fixture
def zone():
    with DnsServer() as server:
        yield server


@pytest.fixture
def score(postern, database, zone):
    """Makes daemons that ask the test's zone."""
    def make(options=None, sections=None, **settings):
        settings = {"database": database, **settings}
        return postern(plugins=["senderscore"],
                       options={"senderscore": {"zone": ZONE, **(options or {})}},
                       sections={"dns": zone.section("1s"), **(sections or {})}, **settings)
    return make


@pytest.fixture
def embedded(postern, zone):
    """The same with the embedded database, for what has nothing to do with the driver."""
    def make(**settings):
        return postern(plugins=["senderscore"], options={"senderscore": {"zone": ZONE}},
                       sections={"dns": zone.section("1s")}, **settings)
    return make


def cached(daemon):
    return [tuple(row) for row in daemon.database.query(
        "SELECT client_address, score, time FROM senderscore_cache ORDER BY client_address")]


def insert(daemon, client, score, time):
    daemon.database.execute("INSERT INTO senderscore_cache (client_address, score, time)"
                            " VALUES (?, ?, ?)", client, score, time)


# --- scores, on each database ---

@pytest.mark.parametrize("number, answer", [(0, rejected()), (30, rejected()), (31, "DUNNO"),
                                            (100, "DUNNO")])
def test_score_decides_and_is_kept(score, zone, number, answer):
    zone.set(NAME, A=[f"127.0.4.{number}"])
    daemon = score()
    assert daemon.ask(rcpt()) == answer
    assert cached(daemon) == [(CLIENT, number, daemon.now)]


def test_client_without_a_record_counts_as_100(score):
    daemon = score()
    assert daemon.ask(rcpt()) == "DUNNO"
    assert cached(daemon) == [(CLIENT, 100, daemon.now)]


def test_kept_score_decides_without_the_dns_until_it_is_too_old(score, zone):
    daemon = score(options={"cache": "1d"})
    insert(daemon, CLIENT, 12, daemon.now)
    daemon.advance(DAY - 1)
    assert daemon.ask(rcpt()) == rejected()
    assert zone.count() == 0
    daemon.advance(1)
    zone.set(NAME, A=["127.0.4.90"])
    assert daemon.ask(rcpt()) == "DUNNO"
    assert cached(daemon) == [(CLIENT, 90, daemon.now)]


def test_score_that_a_wrong_clock_has_kept_is_asked_for_again(score, zone):
    zone.set(NAME, A=["127.0.4.90"])
    daemon = score(options={"cache": "1d"})
    insert(daemon, CLIENT, 12, daemon.now + DAY)
    assert daemon.ask(rcpt()) == "DUNNO"
    assert cached(daemon) == [(CLIENT, 90, daemon.now)]


def test_many_clients_at_once_have_their_own_scores(score, zone):
    zone.update({f"{i}.2.0.192.{ZONE}": {"A": [f"127.0.4.{i}"]} for i in range(1, 61)})
    daemon = score()
    for i in range(1, 61):
        client = f"192.0.2.{i}"
        assert daemon.ask(rcpt(client_address=client)) == (rejected(client) if i <= 30 else "DUNNO")
    assert [number for _, number, _ in sorted(cached(daemon), key=lambda row: row[1])] == \
        list(range(1, 61))


def test_whitelisted_client_is_let_through_until_forgotten(score, zone):
    zone.set(NAME, A=["127.0.4.1"], ttl=0)
    daemon = score()
    assert daemon.ask(rcpt()) == rejected()
    done = daemon.ctl("senderscore", "whitelist", CLIENT)
    assert (done.returncode, done.stdout) == (0, "1 client is whitelisted, whatever the score\n")
    daemon.advance(3650 * DAY)
    assert daemon.ask(rcpt()) == "DUNNO"
    assert daemon.ctl("senderscore", "forget", CLIENT).returncode == 0
    assert daemon.ask(rcpt()) == rejected()


def test_score_that_arrives_late_does_not_undo_a_whitelisting(score, zone):
    zone.set(NAME, A=["127.0.4.1"], delay=0.8)
    daemon = score()
    with daemon.policy() as client:
        client.send(encode(rcpt()))
        wait_for(lambda: zone.count() == 1, "the query")
        assert daemon.ctl("senderscore", "whitelist", CLIENT).returncode == 0
        assert client.read_action() == rejected()
    assert cached(daemon) == [(CLIENT, 100, FOREVER)]
    assert daemon.ask(rcpt()) == "DUNNO"


def test_scores_that_are_too_old_are_deleted_and_no_others(score, zone):
    daemon = score(start=False, options={"cache": "2d"})
    insert(daemon, "192.0.2.1", 10, daemon.now - 2 * DAY - 1)
    insert(daemon, "192.0.2.2", 20, daemon.now - DAY)
    insert(daemon, "192.0.2.3", 100, FOREVER)
    daemon.start()
    wait_for(lambda: len(cached(daemon)) == 2, "the cleanup")
    assert [row[0] for row in cached(daemon)] == ["192.0.2.2", "192.0.2.3"]
    assert daemon.wait_for_log("cleanup deleted 1 expired senderscore_cache rows")


def test_scores_are_listed_newest_first_whitelisted_ones_before_them(score):
    daemon = score(start=False)
    insert(daemon, "192.0.2.1", 10, 1700000000)
    insert(daemon, "192.0.2.2", 20, 1700000001)
    assert daemon.ctl("senderscore", "whitelist", "192.0.2.3", "192.0.2.3").returncode == 0
    rows = json.loads(daemon.ctl("senderscore", "list", "--json").stdout)
    assert rows == [
        {"client_address": "192.0.2.3", "score": 100, "whitelisted": True, "asked": 0},
        {"client_address": "192.0.2.2", "score": 20, "whitelisted": False, "asked": 1700000001},
        {"client_address": "192.0.2.1", "score": 10, "whitelisted": False, "asked": 1700000000}]
    rows = json.loads(daemon.ctl("senderscore", "list", "192.0.2.1", "--json").stdout)
    assert [row["score"] for row in rows] == [10]
    done = daemon.ctl("senderscore", "list", "--limit", "1")
    assert done.stdout.splitlines() == ["CLIENT\tSCORE\tWHITELISTED\tASKED",
                                        "192.0.2.3\t100\tyes\t-"]
    assert "there are more than 1" in done.stderr


def test_forgetting_counts_what_there_was(score):
    daemon = score(start=False)
    insert(daemon, "192.0.2.1", 10, 1700000000)
    insert(daemon, "192.0.2.2", 10, 1700000000)
    done = daemon.ctl("senderscore", "forget", "192.0.2.1", "192.0.2.9", "--json")
    assert (done.returncode, json.loads(done.stdout)["changed"]) == (0, 1)
    done = daemon.ctl("senderscore", "forget", "192.0.2.1")
    assert done.returncode == 1 and "senderscore list" in done.stderr
    assert len(cached(daemon)) == 1


# --- the rest, on one ---

@pytest.mark.parametrize("attributes", [
    {"sasl_username": "user@example.org"}, {"client_address": "127.0.0.1"},
    {"client_address": "198.51.100.1"}, {"client_address": "2001:db8::7"},
    {"client_address": "unknown"}],
    ids=["authenticated", "loopback", "mynetworks", "IPv6", "no address"])
def test_nothing_is_asked_about_others(embedded, zone, attributes):
    zone.set(f"*.{ZONE}", A=["127.0.4.0"])
    daemon = embedded(mynetworks=["198.51.100.0/24"])
    assert daemon.ask(rcpt(**attributes)) == "DUNNO"
    assert zone.count() == 0


@pytest.mark.parametrize("content", [
    {"rcode": "SERVFAIL"}, {"silent": True}, {"A": ["127.255.255.254"]}, {"A": ["192.0.2.20"]}],
    ids=["SERVFAIL", "no answer", "over 100", "no score"])
@pytest.mark.parametrize("on_error, answer", [
    ("dunno", "DUNNO"),
    ("defer", "451 4.3.0 Temporary lookup failure, please try again later")])
def test_failure_is_answered_with_on_error_logged_and_not_kept(embedded, zone, content, on_error,
                                                               answer):
    zone.set(NAME, ttl=0, **content)
    daemon = embedded(on_error=on_error)
    assert daemon.ask(rcpt()) == answer
    assert cached(daemon) == []
    assert NAME in daemon.wait_for_log("plugin=senderscore")[0]
    zone.set(NAME, A=["127.0.4.7"], ttl=0)
    wait_for(lambda: daemon.ask(rcpt()) == rejected(), "the score")


def test_score_that_cannot_be_kept_decides_all_the_same(embedded, zone):
    zone.set(NAME, A=["127.0.4.90"], ttl=0)
    daemon = embedded(on_error="defer")
    daemon.database.execute("CREATE TRIGGER full BEFORE INSERT ON senderscore_cache"
                            " BEGIN SELECT RAISE(FAIL, 'no room'); END")
    assert daemon.ask(rcpt()) == "DUNNO"
    assert daemon.wait_for_log("no room")
    zone.set(NAME, A=["127.0.4.9"], ttl=0)
    assert daemon.ask(rcpt()) == rejected()


def test_queries_are_counted_by_their_result(embedded, zone):
    zone.set(NAME, A=["127.0.4.90"])
    zone.set(f"8.2.0.192.{ZONE}", rcode="REFUSED")
    daemon = embedded()
    for last in (7, 7, 8, 9, 9):
        daemon.ask(rcpt(client_address=f"192.0.2.{last}"))
    for result, count in (("found", 1), ("failed", 1), ("no_name", 1), ("no_data", 0)):
        daemon.wait_for_metric(count, "postern_dns_queries_total", result=result)


def test_slow_zone_delays_nobody_else(embedded, zone):
    zone.set(NAME, silent=True)
    daemon = embedded(workers=1)
    with daemon.policy() as slow, daemon.policy() as fast:
        slow.send(encode(rcpt()))
        wait_for(lambda: zone.count(NAME) == 1, "the query")
        for last in range(20, 60):
            assert fast.rcpt(client_address=f"192.0.2.{last}") == "DUNNO"
        assert zone.count(NAME) == 1
        assert slow.read_action() == "DUNNO"


@pytest.mark.parametrize("text", ["", ".score.test", "x" * 238])
def test_zone_that_is_no_name_is_refused(postern, text):
    daemon = postern(plugins=["senderscore"], options={"senderscore": {"zone": text}},
                     start=False, init=False)
    done = daemon.ctl("config", "check")
    assert done.returncode == 1 and "zone must be a name" in done.stderr + done.stdout


@pytest.mark.parametrize("client", ["2001:db8::1", "192.0.2.0/24", "example.com"])
@pytest.mark.parametrize("verb", ["list", "whitelist", "forget"])
def test_only_ipv4_addresses_have_scores(embedded, verb, client):
    done = embedded(start=False).ctl("senderscore", verb, client)
    assert done.returncode == 2 and "is not an IPv4 address" in done.stderr


@pytest.mark.parametrize("verb", ["whitelist", "forget"])
def test_clients_must_be_named(embedded, verb):
    done = embedded(start=False).ctl("senderscore", verb)
    assert done.returncode == 2 and "one or more IPv4 addresses" in done.stderr
