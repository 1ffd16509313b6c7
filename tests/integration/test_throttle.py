"""The rules of behaviour.md, "throttle", one by one."""
import pytest

from harness.throttle import DAY, GB, HOUR, TOO_LARGE, TOO_MANY, TOO_MUCH, people
from harness.throttle import default_daemon, throttle, throttle_with  # noqa: F401, fixtures


LOGIN = {"sasl_username": "user@example.com", "sasl_method": "PLAIN",
         "sender": "user@example.com", "recipient": "friend@away.example"}


# --- the four limits ---

def test_without_a_setting_nothing_is_counted(throttle):
    assert throttle.ask() == "DUNNO"
    assert throttle.database.count("throttle_tracking") == 0


def test_messages_up_to_max_msgs_pass_and_the_next_is_refused(throttle):
    throttle.limit("alice@sender.example", max_msgs=3)
    assert [throttle.ask() for _ in range(5)] == ["DUNNO"] * 3 + [TOO_MUCH] * 2
    row, = throttle.counters()
    assert row == {"account": "alice@sender.example", "period": HOUR, "cur_msgs": 3,
                   "cur_quota": 3 * 1024, "init_time": throttle.now, "last_time": throttle.now,
                   "last_notify_time": -throttle.now}


def test_a_message_to_ten_counts_ten(throttle):
    throttle.limit("alice@sender.example", max_msgs=25)
    answers = [throttle.ask(recipient="", recipient_count=10) for _ in range(3)]
    assert answers == ["DUNNO", "DUNNO", TOO_MUCH]
    assert throttle.counted() == {"alice@sender.example": 20}
    assert throttle.ask(recipient_count=5) == "DUNNO"
    assert throttle.ask(recipient_count=1) == TOO_MUCH


def test_bytes_up_to_max_quota_pass_and_what_would_go_over_is_refused(throttle):
    throttle.limit("alice@sender.example", max_quota=10000)
    assert throttle.ask(size=6000) == "DUNNO"
    assert throttle.ask(size=4001) == TOO_MUCH
    assert throttle.ask(size=4000) == "DUNNO"
    assert throttle.ask(size=1) == TOO_MUCH
    row, = throttle.counters()
    assert (row["cur_quota"], row["cur_msgs"]) == (10000, 2)


def test_first_message_that_is_larger_than_max_quota_is_refused(throttle):
    throttle.limit("alice@sender.example", max_quota=10000)
    assert throttle.ask(size=10001) == TOO_MUCH
    assert throttle.counters() == []


def test_bytes_count_once_however_many_recipients(throttle):
    throttle.limit("@.", kind="inbound", shared=1, max_quota=10000)
    assert throttle.send(people(5), size=4000) == "DUNNO"
    row, = throttle.counters()
    assert (row["cur_quota"], row["cur_msgs"]) == (4000, 5)


def test_message_above_msg_size_is_refused(throttle):
    throttle.limit("alice@sender.example", msg_size=5000, max_msgs=10)
    assert throttle.ask(size=5000) == "DUNNO"
    assert throttle.ask(size=5001) == TOO_LARGE
    assert throttle.counted() == {"alice@sender.example": 1}


def test_message_to_more_than_max_rcpts_is_refused(throttle):
    throttle.limit("alice@sender.example", max_rcpts=5, max_msgs=10)
    assert throttle.ask(recipient="", recipient_count=5) == "DUNNO"
    assert throttle.ask(recipient="", recipient_count=6) == TOO_MANY
    assert throttle.counted() == {"alice@sender.example": 5}


def test_period_of_zero_limits_size_and_recipients_but_counts_nothing(throttle):
    throttle.limit("alice@sender.example", period=0, msg_size=5000, max_rcpts=5, max_msgs=1)
    assert throttle.ask(size=5001) == TOO_LARGE
    assert throttle.ask(recipient_count=6) == TOO_MANY
    assert [throttle.ask() for _ in range(3)] == ["DUNNO"] * 3
    assert throttle.database.count("throttle_tracking") == 0


def test_limit_of_zero_is_none(throttle):
    throttle.limit("alice@sender.example", max_msgs=0, max_quota=0, msg_size=0, max_rcpts=0)
    assert throttle.ask(size=10 * GB, recipient="", recipient_count=5000) == "DUNNO"


# --- inheritance ---

def test_each_limit_comes_from_the_first_row_that_does_not_say_minus_one(throttle):
    throttle.limit("alice@sender.example", max_msgs=2, max_quota=-1, msg_size=-1, max_rcpts=0)
    throttle.limit("@sender.example", max_msgs=1, max_quota=-1, msg_size=5000, max_rcpts=3)
    throttle.limit("@.", max_msgs=1, max_quota=9000, msg_size=1, max_rcpts=1)
    assert throttle.ask(size=5001) == TOO_LARGE
    assert throttle.ask(size=4500) == "DUNNO"
    assert throttle.ask(size=4501) == TOO_MUCH
    assert throttle.ask(size=4500) == "DUNNO"
    assert throttle.ask(size=0) == TOO_MUCH
    assert throttle.ask(size=0, recipient_count=100) == TOO_MUCH


def test_unlimited_row_stops_the_search(throttle):
    throttle.limit("alice@sender.example", max_msgs=0, max_quota=0, msg_size=0, max_rcpts=0)
    throttle.limit("@.", max_msgs=1, max_quota=1, msg_size=1, max_rcpts=1)
    assert throttle.ask(recipient_count=9) == "DUNNO"
    assert throttle.ask(sender="bob@sender.example") == TOO_LARGE


def test_priority_of_the_row_decides_and_not_its_form(throttle):
    throttle.limit("alice@sender.example", max_msgs=5, priority=1)
    throttle.limit("@.", max_msgs=1, priority=2)
    assert [throttle.ask() for _ in range(2)] == ["DUNNO", TOO_MUCH]


def test_rows_of_equal_priority_all_apply(throttle):
    throttle.limit("192.0.2.0/24", max_msgs=2, priority=7)
    throttle.limit("alice@*", max_msgs=1, priority=7)
    assert [throttle.ask(), throttle.ask()] == ["DUNNO", TOO_MUCH]
    assert throttle.ask(sender="bob@sender.example") == "DUNNO"
    assert throttle.ask(sender="carol@sender.example") == TOO_MUCH


# --- several windows ---

def test_an_hourly_and_a_daily_limit_both_apply(throttle):
    throttle.limit("alice@sender.example", period=HOUR, max_msgs=2)
    daily = throttle.limit("alice@sender.example", period=DAY, max_msgs=5)
    for _ in range(2):
        assert [throttle.ask() for _ in range(3)] == ["DUNNO", "DUNNO", TOO_MUCH]
        throttle.daemon.advance(HOUR)
    assert [throttle.ask() for _ in range(2)] == ["DUNNO", TOO_MUCH]
    assert throttle.counted(daily) == {"alice@sender.example": 5}


def test_a_window_may_leave_a_limit_to_another_of_its_account(throttle):
    throttle.limit("alice@sender.example", period=HOUR, max_msgs=2, max_quota=-1)
    throttle.limit("alice@sender.example", period=DAY, max_msgs=-1, max_quota=5000)
    throttle.limit("@.", max_msgs=1, max_quota=1)
    assert throttle.ask(size=4000) == "DUNNO"
    assert throttle.ask(size=1001) == TOO_MUCH
    assert throttle.ask(size=1000) == "DUNNO"
    assert throttle.ask(size=0) == TOO_MUCH


def test_refused_message_adds_nothing_to_any_counter(throttle):
    throttle.limit("alice@sender.example", period=HOUR, max_msgs=10)
    throttle.limit("alice@sender.example", period=DAY, max_msgs=3)
    throttle.limit("@.", kind="inbound", max_msgs=10)
    assert throttle.ask(recipient_count=2) == "DUNNO"
    before = throttle.counters()
    assert throttle.ask(recipient_count=2, recipient="else@example.org") == TOO_MUCH
    assert [{**row, "last_notify_time": 0} for row in throttle.counters()] == before


def test_window_begins_with_its_first_message(throttle):
    throttle.limit("alice@sender.example", max_msgs=1)
    throttle.daemon.advance(1000)
    assert throttle.ask() == "DUNNO"
    throttle.daemon.advance(HOUR - 1)
    assert throttle.ask() == TOO_MUCH
    throttle.daemon.advance(1)
    assert throttle.ask() == "DUNNO"
    row, = throttle.counters()
    assert (row["init_time"], row["cur_msgs"], row["cur_quota"]) == (throttle.now, 1, 1024)


def test_window_of_a_counter_that_was_refused_first_begins_with_that(throttle):
    throttle.limit("alice@sender.example", max_msgs=2)
    assert throttle.ask(recipient_count=3) == TOO_MUCH
    throttle.daemon.advance(HOUR - 1)
    assert [throttle.ask(recipient_count=2), throttle.ask()] == ["DUNNO", TOO_MUCH]
    throttle.daemon.advance(1)
    assert throttle.ask(recipient_count=2) == "DUNNO"


def test_a_changed_period_counts_at_once(throttle):
    setting = throttle.limit("alice@sender.example", period=DAY, max_msgs=1)
    assert [throttle.ask(), throttle.ask()] == ["DUNNO", TOO_MUCH]
    throttle.daemon.advance(2 * HOUR)
    throttle.database.execute("UPDATE throttle SET period = ? WHERE id = ?", HOUR, setting)
    assert throttle.ask() == "DUNNO"
    assert throttle.counters()[0]["period"] == HOUR


# --- kinds ---

@pytest.mark.parametrize("kind, attributes", [
    ("outbound", LOGIN), ("outbound", {"client_address": "127.0.0.1"}),
    ("outbound", {"client_address": "::1"}), ("external", {}),
    ("external", {"client_address": "198.51.100.7"})],
    ids=["authenticated", "loopback", "loopback IPv6", "outside", "mynetworks"])
def test_kind_of_the_sender(throttle, kind, attributes):
    for each in ("outbound", "external"):
        throttle.limit("@.", kind=each, max_msgs=1 if each == kind else 1000)
    assert [throttle.ask(**attributes) for _ in range(2)] == ["DUNNO", TOO_MUCH]


def test_inbound_counts_for_the_recipient(throttle):
    throttle.limit("@.", kind="inbound", max_msgs=1)
    assert [throttle.ask(), throttle.ask()] == ["DUNNO", TOO_MUCH]
    assert throttle.counted() == {"bob@example.org": 1}
    assert throttle.ask(recipient="else@example.org") == "DUNNO"


def test_login_is_the_user_whatever_the_sender(throttle):
    throttle.limit("user@example.com", kind="outbound", max_msgs=1)
    assert throttle.ask(**{**LOGIN, "sender": "else@example.com"}) == "DUNNO"
    assert throttle.ask(**LOGIN) == TOO_MUCH


def test_sender_and_recipient_count_without_extension(throttle):
    throttle.limit("@.", max_msgs=10)
    throttle.limit("@.", kind="inbound", max_msgs=10)
    throttle.ask(sender="Alice+list@sender.example", recipient="bob+shop@example.org")
    assert throttle.send(["bob+a@example.org", "BOB@example.org"]) == "DUNNO"
    assert throttle.counted() == {"alice@sender.example": 3, "bob@example.org": 3}


# --- recipients ---

def test_every_recipient_of_a_message_counts(throttle):
    throttle.limit("@.", kind="inbound", max_msgs=2)
    assert throttle.send(["a@example.org", "b@example.org", "c@example.net"]) == "DUNNO"
    assert throttle.counted() == {"a@example.org": 1, "b@example.org": 1, "c@example.net": 1}
    assert throttle.send(["a@example.org", "d@example.org"]) == "DUNNO"
    assert throttle.send(["e@example.org", "a@example.org", "f@example.org"]) == TOO_MUCH
    assert throttle.counted() == {"a@example.org": 2, "b@example.org": 1, "c@example.net": 1,
                                  "d@example.org": 1}


def test_a_recipient_named_twice_counts_once(throttle):
    throttle.limit("@.", kind="inbound", max_msgs=5)
    assert throttle.send(["a@example.org"] * 6) == "DUNNO"
    assert throttle.counted() == {"a@example.org": 1}


def test_each_recipient_has_its_own_limits(throttle):
    throttle.limit("a@example.org", kind="inbound", max_msgs=1)
    throttle.limit("@example.org", kind="inbound", max_msgs=2)
    both = ["a@example.org", "b@example.org"]
    assert throttle.send(both) == "DUNNO"
    assert throttle.send(both) == TOO_MUCH
    assert throttle.send(["b@example.org", "c@example.org"]) == "DUNNO"
    assert throttle.send(["b@example.org", "c@example.org"]) == TOO_MUCH


def test_recipients_that_are_not_known_count_for_the_sender_alone(throttle):
    throttle.limit("@.", kind="inbound", max_msgs=1)
    throttle.limit("@.", max_msgs=7)
    assert [throttle.ask(recipient="", recipient_count=3) for _ in range(3)] == [
        "DUNNO", "DUNNO", TOO_MUCH]
    assert throttle.counted() == {"alice@sender.example": 6}


def test_a_message_to_a_thousand_counts_for_each(throttle):
    throttle.limit("@.", kind="inbound", max_msgs=1)
    throttle.limit("@.", max_msgs=5000)
    recipients = people(1000)
    assert throttle.send(recipients) == "DUNNO"
    assert throttle.counted() == {"alice@sender.example": 1000, **dict.fromkeys(recipients, 1)}
    assert throttle.send(["new@example.org", "p999@example.org"]) == TOO_MUCH


def test_a_message_to_a_thousand_counts_for_each_in_two_windows(throttle):
    throttle.limit("@.", kind="inbound", max_msgs=1)
    throttle.limit("@.", kind="inbound", period=DAY, max_msgs=5)
    recipients = people(1000)
    assert throttle.send(recipients) == "DUNNO"
    assert throttle.database.query("SELECT COUNT(*), SUM(cur_msgs) FROM throttle_tracking") == [
        (2000, 2000)]
    assert throttle.send(["new@example.org", "p999@example.org"]) == TOO_MUCH


# --- who is not throttled ---

def test_mail_within_a_domain_is_not_counted(throttle):
    throttle.limit("@.", max_msgs=1)
    assert [throttle.ask(sender="x@example.org") for _ in range(3)] == ["DUNNO"] * 3
    assert throttle.send(people(3), sender="x@example.org") == "DUNNO"
    assert throttle.counters() == []


def test_mail_to_other_domains_too_is_counted(throttle):
    throttle.limit("@.", max_msgs=5)
    assert throttle.send(["a@example.org", "b@else.example"], sender="x@example.org") == "DUNNO"
    assert throttle.counted() == {"x@example.org": 2}


def test_login_does_not_escape_by_a_sender_of_the_recipients_domain(throttle):
    throttle.limit("@.", kind="outbound", max_msgs=1)
    forged = {**LOGIN, "sender": "anybody@away.example"}
    assert [throttle.ask(**forged) for _ in range(2)] == ["DUNNO", TOO_MUCH]


def test_null_sender_is_not_of_the_recipients_domain(throttle):
    throttle.limit("@.", max_msgs=1)
    assert [throttle.ask(sender="", recipient="odd") for _ in range(2)] == ["DUNNO", TOO_MUCH]


def test_bypass_same_domain_can_be_switched_off(throttle_with):
    throttle = throttle_with(bypass_same_domain=False)
    throttle.limit("@.", max_msgs=1)
    assert [throttle.ask(sender="x@example.org") for _ in range(2)] == ["DUNNO", TOO_MUCH]


def test_trusted_clients_are_counted(throttle):
    throttle.limit("@.", max_msgs=1)
    trusted = {"client_address": "198.51.100.7"}
    assert [throttle.ask(**trusted) for _ in range(2)] == ["DUNNO", TOO_MUCH]


def test_bypass_mynetworks_lets_trusted_clients_pass(throttle_with):
    throttle = throttle_with(mynetworks=["198.51.100.0/24"], bypass_mynetworks=True)
    throttle.limit("@.", max_msgs=1)
    throttle.limit("@.", kind="outbound", max_msgs=1)
    for client in ("198.51.100.7", "127.0.0.1"):
        assert [throttle.ask(client_address=client) for _ in range(2)] == ["DUNNO"] * 2
    assert [throttle.ask() for _ in range(2)] == ["DUNNO", TOO_MUCH]


def test_mail_of_authenticated_users_does_not_count_for_its_recipients(throttle):
    throttle.limit("@.", kind="inbound", max_msgs=1)
    assert [throttle.ask(**LOGIN) for _ in range(2)] == ["DUNNO"] * 2
    assert throttle.counters() == []


def test_bypass_local_recipient_can_be_switched_off(throttle_with):
    throttle = throttle_with(bypass_local_recipient=False)
    throttle.limit("@.", kind="inbound", max_msgs=1)
    assert [throttle.ask(**LOGIN) for _ in range(2)] == ["DUNNO", TOO_MUCH]


def test_rcpt_is_not_throttled(throttle):
    throttle.limit("@.", max_msgs=1)
    throttle.limit("@.", kind="inbound", max_msgs=1)
    with throttle.daemon.policy() as client:
        assert [client.rcpt() for _ in range(3)] == ["DUNNO"] * 3
    assert throttle.counters() == []


# --- accounts ---

SENDER = {"sender": "alice@mx.sender.example", "client_address": "192.0.2.7"}
USER = "alice@mx.sender.example"
# Each form, and the key under which it counts.
FORMS = {USER: USER, "alice@*": "alice@*", "192.0.2.7": "192.0.2.7", "192.0.2.*": "192.0.2.*",
         "192.0.*.7": "192.0.*.7", "192.0.2.0/24": "192.0.2.0/24", "192.0.0.0/16": "192.0.0.0/16",
         "192.0.2.6/31": "192.0.2.6/31", "@mx.sender.example": USER, "@.mx.sender.example": USER,
         "@.sender.example": USER, "@.example": USER, "@ip": "192.0.2.7", "@.": USER}
OTHERS = ["bob@mx.sender.example", "bob@*", "192.0.2.8", "192.0.3.*", "192.1.*.7", "192.0.3.0/24",
          "192.0.2.8/29", "2001:db8::/32", "::/0", "@sender.example", "@.ender.example", "@.org",
          "mx.sender.example"]
IPV6 = {"sender": "alice@sender.example", "client_address": "2001:DB8:0:1::7"}
IPV6_FORMS = {"2001:db8:0:1::7": "2001:db8:0:1::7", "2001:db8::/32": "2001:db8::/32",
              "2001:db8:0:1::/64": "2001:db8:0:1::/64", "::/0": "::/0", "@ip": "2001:db8:0:1::7"}


@pytest.mark.parametrize("account, key", FORMS.items())
def test_setting_for_this_sender_applies(throttle, account, key):
    throttle.limit(account, max_msgs=1)
    assert [throttle.ask(**SENDER) for _ in range(2)] == ["DUNNO", TOO_MUCH]
    assert throttle.counted() == {key: 1}


@pytest.mark.parametrize("account, key", IPV6_FORMS.items())
def test_setting_for_this_ipv6_client_applies(throttle, account, key):
    throttle.limit(account, max_msgs=1)
    assert [throttle.ask(**IPV6) for _ in range(2)] == ["DUNNO", TOO_MUCH]
    assert throttle.counted() == {key: 1}


@pytest.mark.parametrize("account", OTHERS)
def test_setting_for_another_sender_does_not_apply(throttle, account):
    throttle.limit(account, max_msgs=1, msg_size=1, priority=100)
    assert [throttle.ask(**SENDER) for _ in range(2)] == ["DUNNO"] * 2


@pytest.mark.parametrize("account", ["bob@example.org", "bob@*", "@example.org", "@.example.org",
                                     "@.org", "@.", "@ip", "192.0.2.7", "192.0.2.0/24"])
def test_setting_for_this_recipient_or_its_client_applies(throttle, account):
    throttle.limit(account, kind="inbound", max_msgs=1)
    assert [throttle.ask() for _ in range(2)] == ["DUNNO", TOO_MUCH]


def test_setting_of_one_kind_does_not_apply_to_another(throttle):
    throttle.limit("alice@sender.example", kind="inbound", max_msgs=1)
    throttle.limit("bob@example.org", kind="external", max_msgs=1)
    assert [throttle.ask() for _ in range(2)] == ["DUNNO"] * 2


def test_network_matches_whatever_priority_its_row_carries(throttle):
    throttle.limit("192.0.2.0/24", max_msgs=1, priority=0)
    assert [throttle.ask() for _ in range(2)] == ["DUNNO", TOO_MUCH]


def test_each_user_of_a_domain_has_a_counter(throttle):
    throttle.limit("@sender.example", max_msgs=1)
    for user in ("a", "b", "c"):
        assert throttle.ask(sender=f"{user}@sender.example") == "DUNNO"
    assert throttle.ask(sender="a@sender.example") == TOO_MUCH


def test_each_client_has_a_counter_under_at_ip(throttle):
    throttle.limit("@ip", max_msgs=1)
    assert throttle.ask() == "DUNNO"
    assert throttle.ask(sender="else@sender.example") == TOO_MUCH
    assert throttle.ask(client_address="192.0.2.8") == "DUNNO"


def test_a_network_counts_its_clients_together(throttle):
    throttle.limit("192.0.2.0/24", max_msgs=2)
    answers = [throttle.ask(client_address=f"192.0.2.{last}") for last in (1, 2, 3)]
    assert answers == ["DUNNO", "DUNNO", TOO_MUCH]


def test_null_senders_are_counted_by_client(throttle):
    throttle.limit("@.", max_msgs=1)
    assert [throttle.ask(sender="") for _ in range(2)] == ["DUNNO", TOO_MUCH]
    assert throttle.ask(sender="", client_address="192.0.2.8") == "DUNNO"
    assert throttle.counted() == {"192.0.2.7": 1, "192.0.2.8": 1}


def test_all_wildcards_finds_stars_anywhere(throttle_with):
    throttle = throttle_with(all_wildcards=True)
    throttle.limit("192.*.2.*", max_msgs=1)
    assert [throttle.ask() for _ in range(2)] == ["DUNNO", TOO_MUCH]


def test_stars_elsewhere_are_not_looked_for_by_default(throttle):
    throttle.limit("192.*.2.*", max_msgs=1)
    assert [throttle.ask() for _ in range(2)] == ["DUNNO"] * 2


@pytest.mark.parametrize("account", ["@.", "@sender.example", "@ip"])
def test_shared_setting_counts_everybody_together(throttle, account):
    throttle.limit(account, shared=1, max_msgs=2)
    answers = [throttle.ask(sender=f"{user}@sender.example", client_address=f"192.0.2.{last}")
               for user, last in (("a", 1), ("b", 2), ("c", 3))]
    assert answers == ["DUNNO", "DUNNO", TOO_MUCH]
    assert throttle.counted() == {account: 2}


def test_shared_setting_counts_the_recipients_of_a_message(throttle):
    throttle.limit("@example.org", kind="inbound", shared=1, max_msgs=5)
    assert throttle.send([*people(3), "x@else.example"]) == "DUNNO"
    assert throttle.counted() == {"@example.org": 3}
    assert throttle.send(people(3)) == TOO_MUCH
    assert throttle.send(people(2)) == "DUNNO"


def test_own_and_shared_counter_apply_together(throttle):
    own = throttle.limit("@sender.example", period=HOUR, max_msgs=2)
    shared = throttle.limit("@sender.example", period=DAY, shared=1, max_msgs=3)
    assert [throttle.ask() for _ in range(3)] == ["DUNNO", "DUNNO", TOO_MUCH]
    assert throttle.ask(sender="b@sender.example") == "DUNNO"
    assert throttle.ask(sender="c@sender.example") == TOO_MUCH
    assert throttle.counted(own) == {"alice@sender.example": 2, "b@sender.example": 1}
    assert throttle.counted(shared) == {"@sender.example": 3}


@pytest.mark.parametrize("sender", ["o'hara\\%_@sender.example", '"a b,\\"c"@sender.example',
                                    "ünï@sender.example", "x" * 400 + "@sender.example"])
def test_odd_senders_are_counted(throttle, sender):
    throttle.limit("@sender.example", max_msgs=1)
    throttle.limit("@example.org", kind="inbound", max_msgs=100)
    assert [throttle.ask(sender=sender) for _ in range(2)] == ["DUNNO", TOO_MUCH]


@pytest.mark.parametrize("address", ["odd", "@", "a b@example.org", b"\xff\xfe@example.org"])
def test_what_is_no_address_is_counted_all_the_same(throttle, address):
    throttle.limit("@.", max_msgs=1)
    throttle.limit("@.", kind="inbound", max_msgs=100)
    assert [throttle.ask(sender=address, recipient=address) for _ in range(2)] == [
        "DUNNO", TOO_MUCH]
