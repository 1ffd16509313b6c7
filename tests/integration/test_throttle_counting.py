"""What the throttle plugin counts: exactly, in large numbers, and by many at once."""
import pytest

from harness.load import at_once
from harness.policy import end_of_message
from harness.throttle import DAY, GB, HOUR, TOO_MUCH, Throttles, people
from harness.throttle import default_daemon, throttle, throttle_with  # noqa: F401, fixtures
from harness.wait import wait_for


# --- large numbers ---

def test_counter_of_bytes_goes_over_4_gb(throttle):
    throttle.limit("alice@sender.example", max_quota=20 * GB)
    answers = [throttle.ask(size=3 * GB) for _ in range(7)]
    assert answers == ["DUNNO"] * 6 + [TOO_MUCH]
    assert throttle.counters()[0]["cur_quota"] == 18 * GB
    assert throttle.ask(size=2 * GB) == "DUNNO"
    assert throttle.ask(size=1) == TOO_MUCH


def test_limits_and_counters_are_exact_beyond_2_to_the_53(throttle):
    limit = 2 ** 60 + 1
    throttle.limit("alice@sender.example", max_quota=limit)
    throttle.limit("alice@sender.example", period=DAY, max_msgs=limit)
    assert throttle.ask(size=1) == "DUNNO"
    throttle.database.execute("UPDATE throttle_tracking SET cur_quota = ?, cur_msgs = ?",
                              limit - 3, limit - 3)
    assert throttle.ask(size=4) == TOO_MUCH
    assert throttle.ask(size=1, recipient_count=4) == TOO_MUCH
    assert throttle.ask(size=3, recipient_count=3) == "DUNNO"
    assert {(row["cur_quota"], row["cur_msgs"]) for row in throttle.counters()} == {(limit, limit)}


def test_counter_of_messages_goes_over_2_to_the_31(throttle):
    throttle.limit("alice@sender.example", max_msgs=2 ** 31 + 10)
    assert throttle.ask() == "DUNNO"
    throttle.database.execute("UPDATE throttle_tracking SET cur_msgs = ?", 2 ** 31)
    assert throttle.ask(recipient_count=10) == "DUNNO"
    assert throttle.ask() == TOO_MUCH
    assert throttle.counted() == {"alice@sender.example": 2 ** 31 + 10}


# --- the mail to the admin ---

def test_first_refusal_of_a_window_asks_for_a_mail(throttle):
    throttle.limit("alice@sender.example", max_msgs=1)
    throttle.ask()
    assert throttle.notified() == {}
    throttle.daemon.advance(10)
    first = throttle.now
    throttle.ask()
    throttle.daemon.advance(10)
    throttle.ask()
    assert throttle.notified() == {"alice@sender.example": -first}


def test_mail_that_was_sent_is_not_asked_for_again_in_its_window(throttle):
    throttle.limit("alice@sender.example", max_msgs=1)
    throttle.ask()
    throttle.ask()
    throttle.database.execute("UPDATE throttle_tracking SET last_notify_time = ?", throttle.now)
    throttle.daemon.advance(10)
    throttle.ask()
    assert throttle.notified() == {"alice@sender.example": throttle.now - 10}
    throttle.daemon.advance(HOUR)
    assert [throttle.ask(), throttle.ask()] == ["DUNNO", TOO_MUCH]
    assert throttle.notified() == {"alice@sender.example": -throttle.now}


def test_refusal_before_any_message_makes_an_empty_counter_and_asks_for_a_mail(throttle):
    throttle.limit("alice@sender.example", max_msgs=1)
    first = throttle.now
    assert throttle.ask(recipient_count=2) == TOO_MUCH
    throttle.daemon.advance(10)
    assert throttle.ask(recipient_count=2) == TOO_MUCH
    assert throttle.database.query("SELECT account, cur_msgs, cur_quota, init_time,"
                                   " last_notify_time FROM throttle_tracking") == [
        ("alice@sender.example", 0, 0, first, -first)]


def test_refusal_after_a_window_begins_a_new_one(throttle):
    throttle.limit("alice@sender.example", max_msgs=1)
    throttle.ask()
    throttle.daemon.advance(HOUR)
    assert throttle.ask(recipient_count=2) == TOO_MUCH
    assert throttle.database.query("SELECT cur_msgs, cur_quota, init_time, last_notify_time"
                                   " FROM throttle_tracking") == [
        (0, 0, throttle.now, -throttle.now)]


def test_refusals_by_size_and_recipients_ask_for_no_mail(throttle):
    throttle.limit("alice@sender.example", msg_size=1, max_rcpts=1, max_msgs=1)
    throttle.ask()
    throttle.ask(size=0, recipient_count=2)
    assert throttle.database.count("throttle_tracking") == 0


def test_a_marked_counter_is_not_written_again(throttle):
    throttle.limit("alice@sender.example", max_msgs=1)
    for _ in range(3):
        throttle.ask()
    before = throttle.database.query("SELECT * FROM throttle_tracking")
    throttle.daemon.advance(5)
    throttle.ask()
    assert throttle.database.query("SELECT * FROM throttle_tracking") == before


# --- many at once ---

def two_daemons(postern, database):
    first = postern(plugins=["throttle"], database=database, cache_ttl="1h")
    second = postern(plugins=["throttle"], database=database, init=False, cache_ttl="1h")
    second.advance(first.now - second.now)
    throttle = Throttles(first)
    return throttle, [first, second]


def send_at_once(daemons, request, clients=64, each=16):
    """All answers to clients times each requests."""
    connections = [daemons[number % 2].policy() for number in range(clients)]
    answers = at_once(clients, lambda number: [
        connections[number].request(request(f"{number}.{serial}")) for serial in range(each)])
    for connection in connections:
        connection.close()
    return [answer for some in answers for answer in some]


@pytest.mark.parametrize("limits, attributes, passing", [
    ({"max_msgs": 100}, {}, 100), ({"max_quota": 100 * 5000}, {"size": 5000}, 100),
    ({"max_msgs": 100}, {"recipient_count": 10, "recipient": ""}, 10)],
    ids=["messages", "bytes", "ten recipients"])
def test_exactly_the_limit_passes_through_two_daemons_at_once(postern, database, limits,
                                                              attributes, passing):
    throttle, daemons = two_daemons(postern, database)
    throttle.limit("@.", shared=1, **limits)
    answers = send_at_once(daemons, lambda instance: end_of_message(instance=instance,
                                                                    **attributes))
    assert answers.count("DUNNO") == passing
    assert answers.count(TOO_MUCH) == len(answers) - passing
    row, = throttle.counters()
    assert row["cur_msgs"] == passing * attributes.get("recipient_count", 1)
    assert row["cur_quota"] == passing * attributes.get("size", 1024)
    assert throttle.notified() == {"@.": -throttle.now}


def test_counters_of_many_users_and_a_shared_one_agree_at_once(postern, database):
    """Each message has counters of its sender, its recipient, both domains and everybody."""
    throttle, daemons = two_daemons(postern, database)
    own = throttle.limit("@.", max_msgs=30)
    throttle.limit("@.", period=DAY, shared=1, max_msgs=300)
    throttle.limit("@.", kind="inbound", max_msgs=100, max_quota=60 * 1024)
    throttle.limit("@example.org", kind="inbound", period=DAY, shared=1, priority=0, max_msgs=290)

    def request(instance):
        client, serial = map(int, instance.split("."))
        return end_of_message(instance=instance, sender=f"s{(client + serial) % 16}@else.example",
                              recipient=f"r{(client * serial) % 8}@example.org")

    answers = send_at_once(daemons, request)
    passed = answers.count("DUNNO")
    assert passed + answers.count(TOO_MUCH) == len(answers)
    rows = throttle.database.query("SELECT tid, SUM(cur_msgs), MAX(cur_msgs), SUM(cur_quota)"
                                   " FROM throttle_tracking GROUP BY tid")
    assert {row[1] for row in rows} == {passed}
    assert {row[3] for row in rows} == {passed * 1024}
    limits = dict(throttle.database.query("SELECT id, max_msgs FROM throttle"))
    assert all(row[2] <= limits[row[0]] for row in rows)
    assert max(throttle.counted(own).values()) <= 30
    assert passed == 290


def test_first_messages_of_a_window_at_once_count_exactly(postern, database):
    throttle, daemons = two_daemons(postern, database)
    throttle.limit("@.", max_msgs=3)
    throttle.limit("@.", kind="inbound", max_msgs=100)
    clients = [daemons[number % 2].policy() for number in range(16)]
    for round_number in range(5):
        for daemon in daemons:
            daemon.advance(HOUR)
        answers = at_once(16, lambda number: clients[number].request(end_of_message()))
        assert answers.count("DUNNO") == 3, round_number
        assert throttle.counted() == {"alice@sender.example": 3, "bob@example.org": 3}
    for client in clients:
        client.close()


# --- the database ---

def queries(daemon):
    return daemon.metrics().sum("postern_db_queries_total", database="iredapd")


def test_accepted_message_takes_one_round_trip_and_a_first_one_three(throttle_with):
    throttle = throttle_with(cache_ttl="1h", settings={"workers": 1})
    for period in (HOUR, DAY):
        throttle.limit("@.", period=period, max_msgs=1000)
        throttle.limit("@.", kind="inbound", period=period, max_msgs=1000)
    recipients = people(20)
    assert throttle.send(["warm@example.org"], sender="warm@sender.example") == "DUNNO"
    costs = []
    for _ in range(2):
        before = queries(throttle.daemon)
        assert throttle.send(recipients) == "DUNNO"
        costs.append(queries(throttle.daemon) - before)
    assert costs == [3, 1]


def test_setting_that_is_gone_but_remembered_does_not_count(throttle_with):
    throttle = throttle_with(cache_ttl="1h", settings={"workers": 1})
    gone = throttle.limit("alice@sender.example", max_msgs=2)
    stays = throttle.limit("@.", kind="inbound", max_msgs=4)
    assert throttle.ask() == "DUNNO"
    throttle.database.execute("DELETE FROM throttle_tracking WHERE tid = ?", gone)
    throttle.database.execute("DELETE FROM throttle WHERE id = ?", gone)
    assert [throttle.ask() for _ in range(4)] == ["DUNNO"] * 3 + [TOO_MUCH]
    assert throttle.counted(stays) == {"bob@example.org": 4}


def test_counters_that_were_reset_by_hand_begin_again(throttle_with):
    throttle = throttle_with(cache_ttl="1h")
    throttle.limit("alice@sender.example", max_msgs=1)
    assert [throttle.ask(), throttle.ask()] == ["DUNNO", TOO_MUCH]
    throttle.database.execute("DELETE FROM throttle_tracking")
    assert [throttle.ask(), throttle.ask()] == ["DUNNO", TOO_MUCH]


def test_database_that_fails_ends_as_on_error_says(throttle_with):
    throttle = throttle_with(settings={"on_error": "defer"})
    throttle.limit("alice@sender.example", max_msgs=1)
    throttle.database.execute("ALTER TABLE throttle_tracking RENAME TO elsewhere")
    assert throttle.ask().startswith("451 4.3.0 ")


# --- what an admin sees ---

def refusal_of(throttle, sender):
    """The line of the log, which comes after the answer."""
    return wait_for(lambda: throttle.daemon.log_requests(action="reject", sender=sender),
                    "the refusal in the log")[0]


def test_log_says_which_limit_and_window(throttle):
    throttle.limit("@sender.example", max_msgs=1)
    throttle.ask(sender="log@sender.example")
    throttle.ask(sender="log@sender.example")
    line = refusal_of(throttle, "log@sender.example")
    assert line["plugin"] == "throttle"
    assert line["reason"] == ("max_msgs of @sender.example (external): 1 in 3600 seconds, and"
                              " log@sender.example has 1 with 1 more")


def test_log_says_which_limit_a_single_message_exceeds(throttle):
    throttle.limit("@sender.example", msg_size=10)
    throttle.ask(sender="single@sender.example", size=11)
    assert refusal_of(throttle, "single@sender.example")["reason"] == (
        "msg_size of @sender.example (external): 10, and the message has 11")


# --- what is expired ---

def test_expired_counters_are_cleaned_up(postern, database):
    daemon = postern(plugins=["throttle"], database=database, start=False)
    throttle = Throttles(daemon)
    setting = throttle.limit("@.", max_msgs=1)
    for number, begun in enumerate([DAY, HOUR + 1, HOUR, HOUR - 100, 0]):
        database.execute("INSERT INTO throttle_tracking (tid, account, period, cur_msgs, init_time,"
                         " last_notify_time) VALUES (?, ?, ?, 1, ?, ?)", setting, f"n{number}",
                         HOUR, daemon.now - begun, daemon.now - begun)
    daemon.start()
    daemon.wait_for_log("expired throttle_tracking")
    assert set(throttle.counted()) == {"n2", "n3", "n4"}


def test_counter_whose_mail_could_not_be_sent_is_kept_for_another_day(postern, database):
    daemon = postern(plugins=["throttle"], database=database, start=False)
    throttle = Throttles(daemon)
    setting = throttle.limit("@.", max_msgs=1)
    for number, begun in enumerate([DAY + HOUR + 1, DAY + HOUR, HOUR + 1]):
        database.execute("INSERT INTO throttle_tracking (tid, account, period, cur_msgs, init_time,"
                         " last_notify_time) VALUES (?, ?, ?, 1, ?, ?)", setting, f"n{number}",
                         HOUR, daemon.now - begun, begun - daemon.now)
    daemon.start()
    daemon.wait_for_log("expired throttle_tracking")
    assert set(throttle.counted()) == {"n1", "n2"}
