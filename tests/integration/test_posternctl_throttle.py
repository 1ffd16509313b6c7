"""posternctl throttle, on every database."""
import os

import pytest

from harness.ctl import NOTHING, UNREACHABLE, Ctl

NOW = 1_700_000_000


@pytest.fixture
def ctl(build, folder, database):
    return Ctl(build, folder, database)


def throttles(ctl):
    return ctl.database.query(
        "SELECT account, kind, priority, period, max_msgs, max_quota, msg_size, max_rcpts, shared "
        "FROM throttle ORDER BY account, kind, period")


def count(ctl, throttle, account, msgs=1, size=100, start=NOW, period=3600):
    """A counter of the only throttle of an account."""
    ctl.database.execute(
        "INSERT INTO throttle_tracking (tid, account, period, cur_msgs, cur_quota, init_time, "
        "last_time) SELECT id, ?, ?, ?, ?, ?, ? FROM throttle WHERE account = ?", account, period,
        msgs, size, start, start + 60, throttle)


def counted(ctl):
    return [row[0] for row in
            ctl.database.query("SELECT account FROM throttle_tracking ORDER BY account")]


def test_new_throttle_inherits_what_is_not_given(ctl):
    ctl.good("throttle", "set", "User@Example.com", "--period", "1h", "--max-msgs", "100")
    assert throttles(ctl) == [("user@example.com", "outbound", 10, 3600, 100, -1, -1, -1, 0)]


def test_set_changes_only_the_limits_given(ctl):
    ctl.good("throttle", "set", "@example.com", "--kind", "inbound", "--period", "1d",
             "--max-msgs", "5", "--max-quota", "6GB", "--msg-size", "7MB", "--max-rcpts", "8",
             "--shared")
    all_set = ("@example.com", "inbound", 5, 86400, 5, 6 << 30, 7 << 20, 8, 1)
    assert throttles(ctl) == [all_set]
    ctl.good("throttle", "set", "@example.com", "--kind", "inbound", "--period", "24h",
             "--msg-size", "9MB")
    assert throttles(ctl) == [(*all_set[:6], 9 << 20, *all_set[7:])]


def test_periods_and_kinds_of_one_account_are_throttles_of_their_own(ctl):
    for kind in ("outbound", "external"):
        for period in ("1h", "1d"):
            ctl.good("throttle", "set", "a@b.example", "--kind", kind, "--period", period,
                     "--max-msgs", "3")
    assert [row[1:4:2] for row in throttles(ctl)] == [
        ("external", 3600), ("external", 86400), ("outbound", 3600), ("outbound", 86400)]


def test_limits_can_be_unlimited_and_inherited_in_words_and_numbers(ctl):
    ctl.good("throttle", "set", "@.", "--period", "1h", "--max-msgs", "unlimited", "--max-quota",
             "0", "--msg-size", "inherit", "--max-rcpts", "-1")
    assert throttles(ctl)[0][4:8] == (0, 0, -1, -1)


def test_shared_can_be_switched_off_again(ctl):
    ctl.good("throttle", "set", "@.", "--period", "1h", "--max-msgs", "9", "--shared")
    ctl.good("throttle", "set", "@.", "--period", "1h", "--not-shared")
    assert throttles(ctl) == [("@.", "outbound", 0, 3600, 9, -1, -1, -1, 0)]


def test_limits_of_one_message_need_no_period(ctl):
    ctl.good("throttle", "set", "@.", "--kind", "inbound", "--msg-size", "10MB")
    assert throttles(ctl) == [("@.", "inbound", 0, 0, -1, -1, 10 << 20, -1, 0)]


@pytest.mark.parametrize("account, stored, priority", [
    ("User@Example.com", "user@example.com", 10), ("2001:DB8:0::1", "2001:db8::1", 9),
    ("192.0.2.*", "192.0.2.*", 8), ("192.0.2.77/24", "192.0.2.0/24", 7),
    ("@example.com", "@example.com", 5), ("@.example.com", "@.example.com", 3),
    ("@.com", "@.com", 2), ("@ip", "@ip", 1), ("@.", "@.", 0)])
def test_priority_comes_from_the_form_of_the_account(ctl, account, stored, priority):
    ctl.good("throttle", "set", account, "--max-rcpts", "5")
    assert throttles(ctl)[0][:3] == (stored, "outbound", priority)


def test_numbers_may_be_larger_than_32_bits(ctl):
    ctl.good("throttle", "set", "@.", "--period", "1d", "--max-quota", "3TB", "--max-msgs",
             "5000000000")
    shown, = ctl.json("throttle", "list")
    assert (shown["max_quota"], shown["max_msgs"]) == (3 << 40, 5_000_000_000)


@pytest.mark.parametrize("arguments, said", [
    (["--max-msgs", "5"], "--period"),
    (["--max-quota", "5MB", "--period", "0"], "--period"),
    (["--period", "1h"], "no limit is given"),
    (["--period", "soon", "--max-msgs", "5"], "`soon` is not a duration"),
    (["--period", "100000d", "--max-msgs", "5"], "too long"),
    (["--period", "1h", "--max-msgs", "-2"], "`-2` is no limit"),
    (["--period", "1h", "--max-msgs", "many"], "`many` is no limit"),
    (["--msg-size", "5XB"], "`5XB` is no limit"),
    (["--msg-size", "5MB", "--kind", "sideways"], "`sideways` is none of inbound, outbound"),
    (["--msg-size", "5MB", "--shared", "--not-shared"], "--not-shared"),
    (["--msg-size", "5MB", "user@*"], "`user@*` has none of the forms"),
    (["--msg-size", "5MB", "a" * 250 + "@b.example"], "longer than the 255 bytes"),
])
def test_wrong_limits_are_refused(ctl, arguments, said):
    assert said in ctl.refused("throttle", "set", "user@example.com", *arguments)
    assert throttles(ctl) == []


@pytest.mark.parametrize("verb", ["set", "delete", "reset"])
def test_an_account_is_needed(ctl, verb):
    options = ["--max-rcpts", "5"] if verb == "set" else []
    assert "an ACCOUNT is missing" in ctl.refused("throttle", verb, *options)


def test_list_shows_the_most_specific_first(ctl):
    for account in ("@.", "user@example.com", "@example.com"):
        ctl.good("throttle", "set", account, "--max-rcpts", "5")
    accounts = [row["account"] for row in ctl.json("throttle", "list")]
    assert accounts == ["user@example.com", "@example.com", "@."]


def test_list_can_be_narrowed(ctl):
    ctl.good("throttle", "set", "@.", "a@b.example", "--period", "1h", "--max-msgs", "1")
    ctl.good("throttle", "set", "@.", "--kind", "inbound", "--period", "1d", "--max-msgs", "1")
    assert len(ctl.json("throttle", "list", "@.")) == 2
    assert [row["kind"] for row in ctl.json("throttle", "list", "--period", "1d")] == ["inbound"]
    assert len(ctl.json("throttle", "list", "--kind", "outbound")) == 2
    run = ctl("throttle", "list", "c@d.example")
    assert (run.returncode, run.stderr) == (NOTHING, "posternctl: nothing matches\n")
    assert "too much" in ctl.refused("throttle", "list", "@.", "@ip")


def test_tables_show_sizes_and_times_for_people_and_json_plain_numbers(ctl):
    ctl.good("throttle", "set", "@.", "--period", "90m", "--max-msgs", "unlimited", "--max-quota",
             "2GB", "--msg-size", "123456789")
    titles, row = ctl.good("throttle", "list").splitlines()
    shown = dict(zip(titles.split("\t"), row.split("\t")))
    assert shown == {"ACCOUNT": "@.", "KIND": "outbound", "PERIOD": "1h30m",
                     "MAX MSGS": "unlimited", "MAX QUOTA": "2GB", "MSG SIZE": "117.7MB",
                     "MAX RCPTS": "inherit", "SHARED": "no", "PRIORITY": "0"}
    assert ctl.json("throttle", "list") == [{
        "account": "@.", "kind": "outbound", "period": 5400, "max_msgs": 0, "max_quota": 2 << 30,
        "msg_size": 123456789, "max_rcpts": -1, "shared": False, "priority": 0}]


def test_delete_takes_the_counters_along(ctl):
    ctl.good("throttle", "set", "@.", "a@b.example", "--period", "1h", "--max-msgs", "1")
    count(ctl, "@.", "x@y.example")
    count(ctl, "a@b.example", "a@b.example")
    ctl.good("throttle", "delete", "@.")
    assert [row[0] for row in throttles(ctl)] == ["a@b.example"]
    assert counted(ctl) == ["a@b.example"]


def test_delete_can_be_of_one_kind_or_period(ctl):
    for kind, period in (("inbound", "1h"), ("outbound", "1h"), ("outbound", "1d")):
        ctl.good("throttle", "set", "@.", "--kind", kind, "--period", period, "--max-msgs", "1")
    ctl.good("throttle", "delete", "@.", "--kind", "outbound", "--period", "1h")
    assert [row[1:4:2] for row in throttles(ctl)] == [("inbound", 3600), ("outbound", 86400)]
    ctl.good("throttle", "delete", "@.")
    assert throttles(ctl) == []


def test_delete_of_what_is_not_there_changes_nothing(ctl):
    run = ctl("throttle", "delete", "a@b.example")
    assert (run.returncode, run.stdout) == (NOTHING, "")
    assert "no such throttle of a@b.example" in run.stderr
    assert "has none of the forms" in ctl.refused("throttle", "delete", "nonsense")


def test_throttle_of_an_account_that_is_none_can_be_deleted(ctl):
    ctl.database.execute("INSERT INTO throttle (account, kind, period) VALUES (?, ?, ?)",
                         "nonsense", "outbound", 60)
    ctl.good("throttle", "delete", "Nonsense")
    assert throttles(ctl) == []


@pytest.fixture
def usage(ctl):
    """What is counted for two throttles, an hour after it began."""
    ctl.good("throttle", "set", "@.", "--period", "1h", "--max-msgs", "10", "--max-quota", "9GB")
    ctl.good("throttle", "set", "@ip", "--period", "1d", "--max-msgs", "20")
    count(ctl, "@.", "a@b.example", msgs=3, size=5 << 30)
    count(ctl, "@ip", "192.0.2.1", msgs=4, start=NOW + 1, period=86400)
    count(ctl, "@ip", "2001:db8::1", msgs=5, start=NOW + 2, period=86400)
    return ctl


def at(seconds):
    """Runs it with a clock that stands there."""
    return {"env": {**os.environ, "POSTERN_FAKE_TIME": str(NOW + seconds)}}


def test_usage_shows_counters_limits_and_window(usage):
    shown, = usage.json("throttle", "usage", "a@b.example", **at(3599))
    assert shown == {"account": "a@b.example", "throttle": "@.", "kind": "outbound", "msgs": 3,
                     "max_msgs": 10, "bytes": 5 << 30, "max_quota": 9 << 30,
                     "window_start": NOW, "window_end": NOW + 3600, "last_time": NOW + 60,
                     "over": False}


def test_usage_says_that_a_window_is_over(usage):
    over = {row["account"]: row["over"] for row in usage.json("throttle", "usage", **at(3600))}
    assert over == {"a@b.example": True, "192.0.2.1": False, "2001:db8::1": False}


def test_usage_is_of_an_account_or_of_its_throttle_the_latest_first(usage):
    assert [row["account"] for row in usage.json("throttle", "usage")] == [
        "2001:db8::1", "192.0.2.1", "a@b.example"]
    assert [row["msgs"] for row in usage.json("throttle", "usage", "@ip")] == [5, 4]
    assert [row["msgs"] for row in usage.json("throttle", "usage", "2001:DB8::0:1")] == [5]
    assert [row["msgs"] for row in usage.json("throttle", "usage", "--period", "1h")] == [3]
    assert usage("throttle", "usage", "x@y.example").returncode == NOTHING


def test_usage_says_when_there_is_more_than_its_limit(usage):
    run = usage("throttle", "usage", "--limit", "2")
    assert len(run.stdout.splitlines()) == 3
    assert "more than 2" in run.stderr
    assert "`0`" in usage.refused("throttle", "usage", "--limit", "0")


def test_reset_forgets_an_account_or_all_of_a_throttle(usage):
    usage.good("throttle", "reset", "192.0.2.1")
    assert counted(usage) == ["2001:db8::1", "a@b.example"]
    usage.good("throttle", "reset", "@ip")
    assert counted(usage) == ["a@b.example"]
    run = usage("throttle", "reset", "@ip")
    assert run.returncode == NOTHING
    assert "nothing was counted" in run.stderr
    assert len(throttles(usage)) == 2


def test_reset_of_one_period_leaves_the_others(usage):
    assert usage("throttle", "reset", "a@b.example", "--period", "1d").returncode == NOTHING
    assert len(counted(usage)) == 3


def test_reset_of_everything_must_be_asked_for(usage):
    usage.refused("throttle", "reset")
    assert "--all" in usage.refused("throttle", "reset", "--all", "@ip")
    assert len(counted(usage)) == 3
    usage.good("throttle", "reset", "--all")
    assert counted(usage) == []
    usage.good("throttle", "reset", "--all")


def test_accounts_can_be_lines_of_standard_input(ctl):
    ctl.good("throttle", "set", "-", "--period", "1h", "--max-msgs", "7",
             lines=["# accounts", "a@b.example", "", "  @c.example   # all of it"])
    assert [row[0] for row in throttles(ctl)] == ["@c.example", "a@b.example"]
    ctl.good("throttle", "delete", "-", lines=["a@b.example", "@c.example"])
    assert throttles(ctl) == []


def test_one_wrong_line_keeps_all_from_being_set(ctl):
    said = ctl.refused("throttle", "set", "-", "--max-rcpts", "7",
                       lines=["a@b.example", "b c", "c@d.example"])
    assert "standard input:2: `b c`" in said
    assert throttles(ctl) == []


def test_tables_of_iredapd_must_be_migrated_first(build, folder, database):
    ctl = Ctl(build, folder, database)
    ctl.database.execute("DELETE FROM postern_schema")
    said = ctl.refused("throttle", "set", "@.", "--max-rcpts", "7", status=UNREACHABLE)
    assert "posternctl db migrate" in said
