"""Domains whose networks are not greylisted: posternctl greylist domain, and the housekeeper."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.ctl import DONE, NOTHING, UNREACHABLE, USAGE, without_sanitizer_notes
from harness.dns import DnsServer
from harness.policy import rcpt
from harness.wait import wait_for

ZONE = {
    "one.example": {"TXT": ["v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.7 a:mail.one.example -all"]},
    "mail.one.example": {"A": ["203.0.113.9"], "AAAA": ["2001:db8::9"]},
    "two.example": {"TXT": ["v=spf1 ip4:198.51.100.7 ip4:198.51.100.8 -all"]},
    "silent.example": {"silent": True},
    "mx.example": {"MX": [[10, "mail.one.example"]]},
}
ONE = ["192.0.2.0/24", "198.51.100.7", "2001:db8::9", "203.0.113.9"]
TWO = ["198.51.100.7", "198.51.100.8"]
DEFERRED = "451 4.7.1 Intentional policy rejection, please try again later"


@pytest.fixture
def zone():
    with DnsServer(ZONE) as server:
        yield server


class Site:
    """A configuration that asks the test's zone, and its database."""

    def __init__(self, daemon):
        self.daemon, self.database = daemon, daemon.database

    def __call__(self, verb, *domains, status=DONE, **options):
        run = self.daemon.ctl("greylist", "domain", verb, *domains, **options)
        run.stderr = without_sanitizer_notes(run.stderr)
        assert run.returncode == status, run.stderr + run.stdout
        return run

    def json(self, verb, *domains, **options):
        return json.loads(self(verb, *domains, "--json", **options).stdout)

    def rows(self, comment=None):
        """(sender, comment) of the networks, in order, or the senders with that comment."""
        found = sorted(tuple(row) for row in self.database.query(
            "SELECT sender, comment FROM greylisting_whitelist_domain_spf WHERE account = '@.'"))
        return found if comment is None else [row[0] for row in found if row[1] == comment]

    def networks(self, domain):
        """The rows of a domain."""
        return self.rows(f"AUTO-UPDATE: {domain}")

    def content(self):
        """All that a refresh may write; a row that is removed and made again has another id."""
        return [self.database.query(f"SELECT * FROM {table} ORDER BY 1, 2") for table in (
            "greylisting_whitelist_domain_spf", "greylisting_whitelist_domain_networks")]

    def write(self, sender, comment, account="@."):
        self.database.execute("INSERT INTO greylisting_whitelist_domain_spf"
                              " (account, sender, comment) VALUES (?, ?, ?)",
                              account, sender, comment)


@pytest.fixture
def make_site(postern, database, zone):
    def make(**settings):
        return Site(postern(database=database, sections={"dns": zone.section("1s")},
                            plugins=["greylisting"], **settings))
    return make


@pytest.fixture
def site(make_site):
    """Without a daemon."""
    return make_site(start=False)


# --- posternctl ---

def test_domains_are_added_listed_and_deleted(site):
    assert site("list").stdout == "DOMAIN\tNETWORKS\n"
    assert site.json("add", "Two.Example", "one.example")["changed"] == 2
    assert site.json("add", "one.example", "mx.example")["changed"] == 1
    assert "already" in site("add", "one.example").stdout
    assert site.json("list") == [{"domain": name, "networks": 0}
                                 for name in ("mx.example", "one.example", "two.example")]
    assert site.json("delete", "two.example", "gone.example")["changed"] == 1
    assert [row["domain"] for row in site.json("list")] == ["mx.example", "one.example"]
    assert "domain list" in site("delete", "two.example", status=NOTHING).stderr


def test_domains_are_read_from_standard_input(site):
    lines = "one.example\n\n# partners\nTwo.example # ours\r\n"
    assert site.json("add", "-", input=lines)["changed"] == 2
    assert [row["result"] for row in site.json("refresh", "-", input=lines)] == ["networks"] * 2
    assert site.json("delete", "-", input=lines)["changed"] == 2


def test_many_domains_are_added_at_once(site):
    names = [f"d{i:04}.example" for i in range(3000)]
    assert site.json("add", "-", input="\n".join(names))["changed"] == 3000
    assert [row["domain"] for row in site.json("list")] == names


def test_what_is_no_domain_is_refused_and_changes_nothing(site):
    for wrong in ("a@b.example", "@b.example", "b example", "192.0.2.1/24", "", "x." * 121 + "example"):
        assert "nothing was changed" in site("add", "good.example", wrong, status=USAGE).stderr
    assert "which domains" in site("add", status=USAGE).stderr
    assert "which domains" in site("delete", status=USAGE).stderr
    assert site.json("list") == []


def test_refresh_makes_a_domain_s_networks_rows(site):
    site("add", "one.example")
    assert site.json("refresh", "one.example") == [
        {"domain": "one.example", "result": "networks", "networks": 4, "added": 4, "removed": 0,
         "left_out": 0, "problem": ""}]
    assert site.rows() == [(network, "AUTO-UPDATE: one.example") for network in ONE]
    assert site.json("list") == [{"domain": "one.example", "networks": 4}]


def test_refresh_without_domains_is_of_all_and_of_others_of_none(site):
    site("add", "one.example", "two.example")
    assert [row["domain"] for row in site.json("refresh")] == ["one.example", "two.example"]
    before = site.content()
    assert site.json("refresh", "mx.example", status=NOTHING)[0]["result"] == "unknown"
    assert site.content() == before


def test_domain_without_a_record_stands_for_its_mx_hosts(site):
    site("add", "mx.example", "none.example")
    rows = site.json("refresh")
    assert [(row["result"], row["networks"]) for row in rows] == [("networks", 2), ("none", 0)]
    assert site.rows() == [(network, "AUTO-UPDATE: mx.example")
                           for network in ("2001:db8::9", "203.0.113.9")]


def test_refresh_replaces_what_has_changed_and_nothing_else(site, zone):
    site("add", "one.example")
    site("refresh")
    before = site.database.query("SELECT id, sender FROM greylisting_whitelist_domain_spf"
                                 " WHERE sender = '192.0.2.0/24'")
    zone.set("one.example", TXT=["v=spf1 ip4:192.0.2.0/24 ip6:2001:db8:1::/48 ?all"])
    assert site("refresh", "one.example").stdout.splitlines()[1].split() == [
        "one.example", "networks", "2", "1", "3", "0"]
    assert site.networks("one.example") == ["192.0.2.0/24", "2001:db8:1::/48"]
    assert before == site.database.query("SELECT id, sender FROM greylisting_whitelist_domain_spf"
                                         " WHERE sender = '192.0.2.0/24'")


def test_refresh_of_what_is_as_it_was_writes_nothing(site):
    site("add", "one.example", "two.example")
    site("refresh")
    before = site.content()
    rows = site.json("refresh")
    assert [(row["added"], row["removed"]) for row in rows] == [(0, 0), (0, 0)]
    assert site.content() == before


@pytest.mark.parametrize("trouble", [
    {"silent": True}, {"rcode": "SERVFAIL"}, {"TXT": ["v=spf1 ip4:192.0.2.77 ip4:bad -all"]},
    {"TXT": ["v=spf1 ip4:192.0.2.77 include:silent.example -all"]},
    {"TXT": ["v=spf1 ip4:192.0.2.77 include:one.example -all"]}])
def test_failed_expansion_keeps_what_there_is(site, zone, trouble):
    site("add", "one.example", "two.example")
    site("refresh")
    before = site.content()
    zone.set("one.example", **trouble)
    row, other = site.json("refresh", "one.example", "two.example", status=UNREACHABLE)
    assert (row["result"], row["networks"]) == ("failed", None) and row["problem"]
    assert other["result"] == "networks"
    assert site.content() == before


def test_domain_that_lets_nobody_send_any_more_loses_its_networks(site, zone):
    site("add", "one.example")
    site("refresh")
    zone.set("one.example", TXT=["v=spf1 -all"])
    assert site.json("refresh", "one.example")[0]["result"] == "none"
    assert site.rows() == []


def test_network_of_two_domains_stays_until_both_have_given_it_up(site, zone):
    site("add", "one.example", "two.example")
    site("refresh")
    assert sorted(row[0] for row in site.rows()) == sorted(set(ONE + TWO))
    assert [row["networks"] for row in site.json("list")] == [4, 2]
    site("delete", "one.example")
    assert site.rows() == [(network, "AUTO-UPDATE: two.example") for network in TWO]
    zone.set("two.example", TXT=["v=spf1 ip4:198.51.100.8 -all"])
    site("refresh")
    assert site.networks("two.example") == ["198.51.100.8"]


def test_network_of_two_domains_stays_when_the_other_gives_it_up(site, zone):
    site("add", "one.example", "two.example")
    site("refresh")
    zone.set("one.example", TXT=["v=spf1 -all"])
    zone.set("two.example", silent=True)
    site("refresh", "one.example", "two.example", status=UNREACHABLE)
    assert site.rows() == [(network, "AUTO-UPDATE: two.example") for network in TWO]


def test_rows_of_an_admin_are_neither_changed_nor_doubled(site, zone):
    mine = [("192.0.2.0/24", "partner"), ("198.51.100.7", ""), ("203.0.113.200", "AUTO-UPDATE")]
    for sender, comment in mine:
        site.write(sender, comment)
    site.write("203.0.113.9", "for one", account="bob@example.org")
    site("add", "one.example", "two.example")
    site("refresh")
    assert site.networks("one.example") == ["2001:db8::9", "203.0.113.9"]
    assert set(mine) <= set(site.rows())
    site("delete", "one.example", "two.example")
    assert site.rows() == mine
    assert site.database.count("greylisting_whitelist_domain_spf") == 4


def test_network_that_an_admin_gives_up_becomes_the_domain_s(site):
    site.write("198.51.100.8", "mine")
    site("add", "two.example")
    site("refresh")
    assert site.networks("two.example") == ["198.51.100.7"]
    site.database.execute("DELETE FROM greylisting_whitelist_domain_spf WHERE comment = 'mine'")
    site("refresh")
    assert site.networks("two.example") == TWO


def test_rows_that_iredapd_has_made_are_taken_over(site):
    """It knows no shared networks, and leaves those of domains that are gone."""
    for sender, domain in (("192.0.2.0/24", "one.example"), ("203.0.113.77", "one.example"),
                           ("198.51.100.7", "gone.example"), ("203.0.113.78", "gone.example")):
        site.write(sender, f"AUTO-UPDATE: {domain}")
    site("add", "one.example")
    before = site.database.query("SELECT id FROM greylisting_whitelist_domain_spf"
                                 " WHERE sender = '192.0.2.0/24'")
    site("refresh")
    assert site.networks("one.example") == ["192.0.2.0/24", "2001:db8::9", "203.0.113.9"]
    assert before == site.database.query("SELECT id FROM greylisting_whitelist_domain_spf"
                                         " WHERE sender = '192.0.2.0/24'")
    site("delete", "gone.example", status=NOTHING)
    assert site.networks("gone.example") == []
    site("refresh")
    assert site.networks("one.example") == ONE


def test_everybody_is_not_whitelisted(site, zone):
    zone.set("one.example", TXT=["v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 ip6:::ffff:0:0/96 +all"])
    site("add", "one.example")
    row, = site.json("refresh")
    assert (row["result"], row["left_out"]) == ("none", 3)
    assert site.rows() == []


def test_refreshes_at_once_leave_what_each_of_them_would(site):
    site("add", "one.example", "two.example", "mx.example")
    with ThreadPoolExecutor(6) as pool:
        for run in [pool.submit(site, "refresh") for _ in range(6)]:
            run.result()
    assert sorted(row[0] for row in site.rows()) == sorted(set(ONE + TWO))
    before = site.content()
    site("refresh")
    assert site.content() == before


# --- the housekeeper ---

def test_housekeeper_refreshes_all_domains(make_site, zone):
    site = make_site(start=False)
    site("add", *(f"d{i}.example" for i in range(20)), "one.example", "silent.example",
         "late.example")
    zone.update({f"d{i}.example": {"TXT": [f"v=spf1 ip4:10.0.{i}.0/24 -all"]} for i in range(20)})
    zone.set("late.example", TXT=["v=spf1 ip4:10.1.0.0/16 -all"], delay=0.1)
    site.write("203.0.113.78", "AUTO-UPDATE: gone.example")
    site.write("203.0.113.79", "AUTO-UPDATE: silent.example")
    site.write("203.0.113.80", "mine")
    site.daemon.start()
    assert site.daemon.ask(rcpt(client_address="192.0.2.7")) == DEFERRED
    site.daemon.wait_for_log("whitelisted domain silent.example: its networks stay as they are")
    wait_for(lambda: len(site.rows()) == 20 + len(ONE) + 1 + 2, "the networks")
    assert site.networks("silent.example") == ["203.0.113.79"]
    assert site.rows("mine") == ["203.0.113.80"] and site.networks("gone.example") == []
    assert site.daemon.wait_for_log("one.example: 4 networks, 4 added, 0 removed")
    assert site.daemon.ask(rcpt(client_address="192.0.2.7")) == "DUNNO"


def holder(site):
    return site.database.query("SELECT holder, expires FROM postern_leases"
                               " WHERE name = 'housekeeping'")[0]


def test_housekeeping_waits_for_the_turn_of_another_host(make_site):
    site = make_site(start=False, log={"level": "debug"})
    site("add", "one.example")
    site.database.execute("UPDATE postern_leases SET holder = 'another', expires = ?"
                          " WHERE name = 'housekeeping'", site.daemon.now + 60)
    site.daemon.start()
    site.daemon.wait_for_log("housekeeping waits")
    assert site.rows() == [] and holder(site)[0] == "another"


def test_turn_that_was_not_given_back_ends_by_itself(make_site):
    site = make_site(start=False)
    site("add", "one.example")
    site.database.execute("UPDATE postern_leases SET holder = 'another', expires = ?"
                          " WHERE name = 'housekeeping'", site.daemon.now)
    site.daemon.start()
    wait_for(lambda: site.networks("one.example") == ONE, "the networks")
    wait_for(lambda: holder(site)[1] == 0, "the end of the turn")
    assert holder(site)[0] != "another"
