"""The rules of behaviour.md, "greylisting", one by one."""
import socket

import pytest

from harness.load import at_once
from harness.policy import end_of_message, rcpt

DEFERRED = "451 4.7.1 Intentional policy rejection, please try again later"
MINUTE, HOUR, DAY = 60, 3600, 86400
BLOCK, UNAUTH, AUTH = 15 * MINUTE, DAY, 30 * DAY
TABLES = ("greylisting", "greylisting_whitelists", "greylisting_whitelist_domain_spf",
          "greylisting_tracking")


@pytest.fixture(scope="module")
def default_daemon(shared_postern, shared_folder, backend):
    """One daemon with the default options, for all tests that need no others."""
    return shared_postern(plugins=["greylisting"], database=backend.create(shared_folder),
                          mynetworks=["198.51.100.0/24"])


@pytest.fixture
def greylist(default_daemon):
    """That daemon, its tables as `db init` makes them: greylisting is on for everybody."""
    for table in TABLES:
        default_daemon.database.execute(f"DELETE FROM {table}")
    default_daemon.database.set_greylisting("@.", "@.", active=True)
    return default_daemon


@pytest.fixture
def unset(greylist):
    """The same without any setting."""
    greylist.database.execute("DELETE FROM greylisting")
    return greylist


@pytest.fixture
def greylist_with(postern, database):
    """Makes a daemon with other options."""
    def make(cache_ttl="0s", **options):
        return postern(plugins=["greylisting"], options={"greylisting": options},
                       database=database, cache_ttl=cache_ttl)
    return make


def let_pass(daemon, **attributes):
    """Sends a triplet until it passes."""
    assert daemon.ask(rcpt(**attributes)) == DEFERRED
    daemon.advance(BLOCK)
    assert daemon.ask(rcpt(**attributes)) == "DUNNO"


# --- triplets ---

def test_first_seen_triplet_is_deferred_and_stored(greylist):
    assert greylist.ask(rcpt()) == DEFERRED
    assert greylist.database.triplets() == [{
        "sender": "alice@sender.example", "recipient": "bob@example.org",
        "client_address": "192.0.2.7", "sender_domain": "sender.example",
        "rcpt_domain": "example.org", "init_time": greylist.now,
        "block_expired": greylist.now + BLOCK, "record_expired": greylist.now + UNAUTH,
        "blocked_count": 0, "passed": 0}]


def test_retry_before_block_expires_is_deferred_and_counted(greylist):
    greylist.ask(rcpt())
    first, = greylist.database.triplets()
    for _ in range(3):
        greylist.advance(BLOCK // 4)
        assert greylist.ask(rcpt()) == DEFERRED
    again, = greylist.database.triplets()
    assert again == {**first, "blocked_count": first["blocked_count"] + 3}


def test_retry_one_second_early_is_deferred(greylist):
    greylist.ask(rcpt())
    greylist.advance(BLOCK - 1)
    assert greylist.ask(rcpt()) == DEFERRED


def test_retry_after_block_expires_passes(greylist):
    greylist.ask(rcpt())
    greylist.advance(BLOCK)
    assert greylist.ask(rcpt()) == "DUNNO"
    row, = greylist.database.triplets()
    assert row["passed"] == 1
    assert row["record_expired"] == greylist.now + AUTH


def test_passing_deletes_the_clients_rows_that_have_not_passed(greylist):
    greylist.ask(rcpt(recipient="carol@example.org"))
    greylist.ask(rcpt(client_address="192.0.2.8"))
    let_pass(greylist)
    assert {(row["recipient"], row["client_address"], row["passed"])
            for row in greylist.database.triplets()} == {
                ("bob@example.org", "192.0.2.7", 1), ("bob@example.org", "192.0.2.8", 0)}


def test_client_that_has_passed_is_not_greylisted_for_other_mail(greylist):
    let_pass(greylist)
    assert greylist.ask(rcpt(sender="other@else.example", recipient="x@example.org")) == "DUNNO"
    assert greylist.database.count("greylisting_tracking") == 1


def test_another_client_is_greylisted_though_one_has_passed(greylist):
    let_pass(greylist)
    assert greylist.ask(rcpt(client_address="192.0.2.8")) == DEFERRED


@pytest.mark.parametrize("attribute, address", [
    ("sender", "x" * 300 + "@long.example"), ("sender", "x@" + "long." * 60 + "example"),
    ("recipient", "x" * 254 + "é@long.example")])
def test_address_too_long_for_the_table_does_not_get_around_greylisting(greylist, attribute,
                                                                        address):
    assert greylist.ask(rcpt(**{attribute: address})) == DEFERRED
    greylist.advance(901)
    assert greylist.ask(rcpt(**{attribute: address})) == "DUNNO"


def test_triplet_that_has_expired_is_first_seen_again(greylist):
    greylist.ask(rcpt())
    greylist.ask(rcpt())
    greylist.advance(UNAUTH)
    assert greylist.ask(rcpt()) == DEFERRED
    row, = greylist.database.triplets()
    assert row["init_time"] == greylist.now
    assert row["block_expired"] == greylist.now + BLOCK
    assert row["record_expired"] == greylist.now + UNAUTH
    assert row["passed"] == 0


def test_client_whose_pass_has_expired_is_greylisted_again(greylist):
    let_pass(greylist)
    greylist.advance(AUTH)
    assert greylist.ask(rcpt()) == DEFERRED
    row, = greylist.database.triplets()
    assert (row["passed"], row["block_expired"]) == (0, greylist.now + BLOCK)


def test_pass_is_not_extended_for_less_than_a_tenth(greylist):
    let_pass(greylist)
    expires = greylist.now + AUTH
    greylist.advance(AUTH // 10 - 1)
    assert greylist.ask(rcpt()) == "DUNNO"
    assert greylist.database.triplets()[0]["record_expired"] == expires


def test_pass_is_extended_when_that_gains_a_tenth(greylist):
    let_pass(greylist)
    greylist.advance(AUTH // 10)
    assert greylist.ask(rcpt(recipient="other@example.org")) == "DUNNO"
    assert greylist.database.triplets()[0]["record_expired"] == greylist.now + AUTH


def test_client_that_writes_now_and_then_stays_known(greylist):
    let_pass(greylist)
    for _ in range(5):
        greylist.advance(AUTH - DAY)
        assert greylist.ask(rcpt()) == "DUNNO"


@pytest.mark.parametrize("change", [
    {"sender": "else@sender.example"}, {"recipient": "else@example.org"},
    {"client_address": "192.0.2.8"}])
def test_each_part_of_the_triplet_counts(greylist, change):
    greylist.ask(rcpt())
    greylist.advance(BLOCK)
    assert greylist.ask(rcpt(**change)) == DEFERRED
    assert greylist.database.count("greylisting_tracking") == 2


@pytest.mark.parametrize("same", [
    {"sender": "alice+list-12@sender.example"}, {"recipient": "bob+shop@example.org"},
    {"sender": "Alice@Sender.Example"}, {"recipient": "BOB@EXAMPLE.ORG"},
    {"client_address": "::ffff:192.0.2.7"},
    {"helo_name": "else.example", "client_name": "unknown", "instance": "9.9"}],
    ids=["sender extension", "recipient extension", "sender case", "recipient case",
         "mapped address", "other attributes"])
def test_these_are_the_same_triplet(greylist, same):
    greylist.ask(rcpt(**same))
    greylist.advance(BLOCK)
    assert greylist.ask(rcpt()) == "DUNNO"
    row, = greylist.database.triplets()
    assert (row["sender"], row["recipient"], row["client_address"]) == (
        "alice@sender.example", "bob@example.org", "192.0.2.7")


def test_null_sender_is_greylisted(greylist):
    let_pass(greylist, sender="")
    row, = greylist.database.triplets()
    assert (row["sender"], row["sender_domain"]) == ("", "")


def test_sender_that_does_not_parse_is_greylisted_like_a_null_sender(greylist):
    assert greylist.ask(rcpt(sender="no address' OR 1=1 --")) == DEFERRED
    assert greylist.database.triplets()[0]["sender"] == ""


def test_ipv6_clients_are_greylisted(greylist):
    let_pass(greylist, client_address="2001:db8::7")
    assert greylist.database.triplets()[0]["client_address"] == "2001:db8::7"
    assert greylist.ask(rcpt(client_address="2001:db8::8")) == DEFERRED


def test_spellings_of_an_ipv6_address_are_one_client(greylist):
    greylist.ask(rcpt(client_address="2001:DB8:0:0::0:7"))
    greylist.advance(BLOCK)
    assert greylist.ask(rcpt(client_address="2001:db8::7")) == "DUNNO"


# --- who is not greylisted ---

@pytest.mark.parametrize("attributes", [
    {"sasl_username": "user@example.org", "sasl_method": "PLAIN"},
    {"client_address": "127.0.0.1"}, {"client_address": "127.8.9.10"}, {"client_address": "::1"},
    {"client_address": "198.51.100.77"}, {"client_address": "::ffff:198.51.100.77"}],
    ids=["authenticated", "loopback", "all of 127/8", "IPv6 loopback", "mynetworks",
         "mynetworks mapped"])
def test_authenticated_and_trusted_clients_are_not_greylisted(greylist, attributes):
    assert greylist.ask(rcpt(**attributes)) == "DUNNO"
    assert greylist.database.count("greylisting_tracking") == 0


@pytest.mark.parametrize("address", ["", "unknown", "300.1.2.3"])
def test_request_without_a_client_address_is_not_greylisted(greylist, address):
    assert greylist.ask(rcpt(client_address=address)) == "DUNNO"


def test_end_of_message_is_not_greylisted(greylist):
    assert greylist.ask(end_of_message()) == "DUNNO"
    assert greylist.database.count("greylisting_tracking") == 0


# --- settings ---

RECIPIENT = "bob@mail.example.org"
RECIPIENT_FORMS = ["bob@mail.example.org", "@mail.example.org", "@.mail.example.org",
                   "@.example.org", "@.org", "@."]
OTHER_RECIPIENT_FORMS = ["eve@mail.example.org", "@example.org", "@.sub.mail.example.org",
                         "@.ample.org", "@.example", "mail.example.org", "@mail.example"]
SENDER = {"sender": "alice@mx.sender.example", "client_address": "192.0.2.7"}
SENDER_FORMS = ["alice@mx.sender.example", "alice@*", "192.0.2.7", "192.0.2.*", "192.0.*.7",
                "192.0.2.0/24", "192.0.0.0/16", "192.0.2.6/31", "192.0.2.7/32", "0.0.0.0/0",
                "@mx.sender.example", "@.mx.sender.example", "@.sender.example", "@.example", "@."]
OTHER_SENDER_FORMS = ["bob@*", "@sender.example", "192.0.2.8", "192.0.3.*", "192.1.*.7",
                      "192.0.3.0/24", "192.0.2.8/29", "2001:db8::/32", "::/0", "@.org"]
IPV6_SENDER = {"sender": "alice@sender.example", "client_address": "2001:db8:0:1::7"}
IPV6_FORMS = ["2001:db8:0:1::7", "2001:db8::/32", "2001:db8:0:1::/64", "2001:db8:0:1::6/127",
              "::/0"]
OTHER_IPV6_FORMS = ["2001:db8:0:1::8", "2001:db9::/32", "2001:db8:0:2::/64", "0.0.0.0/0"]


@pytest.mark.parametrize("account", RECIPIENT_FORMS)
def test_setting_for_this_account_applies_to_the_recipient(unset, account):
    unset.database.set_greylisting(account, "@.", active=True)
    assert unset.ask(rcpt(recipient=RECIPIENT)) == DEFERRED


@pytest.mark.parametrize("account", OTHER_RECIPIENT_FORMS)
def test_setting_for_another_account_does_not_apply(unset, account):
    unset.database.set_greylisting(account, "@.", active=True, priority=100)
    assert unset.ask(rcpt(recipient=RECIPIENT)) == "DUNNO"


@pytest.mark.parametrize("sender", SENDER_FORMS)
def test_setting_for_this_sender_applies(unset, sender):
    unset.database.set_greylisting("@.", sender, active=True)
    assert unset.ask(rcpt(**SENDER)) == DEFERRED


@pytest.mark.parametrize("sender", OTHER_SENDER_FORMS)
def test_setting_for_another_sender_does_not_apply(unset, sender):
    unset.database.set_greylisting("@.", sender, active=True, sender_priority=100)
    assert unset.ask(rcpt(**SENDER)) == "DUNNO"


@pytest.mark.parametrize("sender", IPV6_FORMS)
def test_setting_for_this_ipv6_client_applies(unset, sender):
    unset.database.set_greylisting("@.", sender, active=True)
    assert unset.ask(rcpt(**IPV6_SENDER)) == DEFERRED


@pytest.mark.parametrize("sender", OTHER_IPV6_FORMS)
def test_setting_for_another_ipv6_client_does_not_apply(unset, sender):
    unset.database.set_greylisting("@.", sender, active=True, sender_priority=100)
    assert unset.ask(rcpt(**IPV6_SENDER)) == "DUNNO"


def test_nobody_is_greylisted_without_a_setting(unset):
    assert unset.ask(rcpt()) == "DUNNO"
    assert unset.database.count("greylisting_tracking") == 0


def test_network_setting_matches_whatever_priority_its_row_carries(unset):
    unset.database.set_greylisting("@.", "192.0.2.0/24", active=True, sender_priority=3)
    assert unset.ask(rcpt()) == DEFERRED


@pytest.mark.parametrize("account", RECIPIENT_FORMS[:-1])
def test_more_specific_account_switches_greylisting_off(greylist, account):
    greylist.database.set_greylisting(account, "@.", active=False)
    assert greylist.ask(rcpt(recipient=RECIPIENT)) == "DUNNO"


@pytest.mark.parametrize("sender", SENDER_FORMS[:-1])
def test_more_specific_sender_switches_greylisting_off(greylist, sender):
    greylist.database.set_greylisting("@.", sender, active=False)
    assert greylist.ask(rcpt(**SENDER)) == "DUNNO"


@pytest.mark.parametrize("stronger, weaker", [
    ("bob@mail.example.org", "@mail.example.org"), ("@mail.example.org", "@.mail.example.org"),
    ("@.example.org", "@.org"), ("@.org", "@.")])
def test_setting_of_the_stronger_account_decides(unset, stronger, weaker):
    unset.database.set_greylisting(stronger, "@.", active=True)
    unset.database.set_greylisting(weaker, "@.", active=False)
    assert unset.ask(rcpt(recipient=RECIPIENT)) == DEFERRED


@pytest.mark.parametrize("stronger, weaker", [
    ("alice@mx.sender.example", "alice@*"), ("alice@*", "192.0.2.7"),
    ("192.0.2.7", "192.0.2.*"), ("192.0.2.7", "192.0.2.0/24"),
    ("192.0.2.0/24", "@mx.sender.example"), ("@mx.sender.example", "@.mx.sender.example"),
    ("@.sender.example", "@.example"), ("@.example", "@.")])
def test_setting_of_the_stronger_sender_decides(unset, stronger, weaker):
    unset.database.set_greylisting("@.", stronger, active=True)
    unset.database.set_greylisting("@.", weaker, active=False)
    assert unset.ask(rcpt(**SENDER)) == DEFERRED


def test_account_priority_counts_before_sender_priority(unset):
    unset.database.set_greylisting("@example.org", "@.", active=True)
    unset.database.set_greylisting("@.", "alice@sender.example", active=False)
    assert unset.ask(rcpt()) == DEFERRED


def test_stored_priorities_decide_not_the_forms(unset):
    unset.database.set_greylisting("bob@example.org", "@.", active=False, priority=1)
    unset.database.set_greylisting("@example.org", "@.", active=True, priority=2)
    assert unset.ask(rcpt()) == DEFERRED


def test_setting_whose_sender_does_not_match_is_passed_over(greylist):
    greylist.database.set_greylisting("bob@example.org", "eve@else.example", active=False)
    assert greylist.ask(rcpt()) == DEFERRED


def test_null_sender_matches_everybody_and_its_client(unset):
    unset.database.set_greylisting("@.", "@.", active=True)
    assert unset.ask(rcpt(sender="")) == DEFERRED
    unset.database.set_greylisting("@.", "192.0.2.7", active=False)
    assert unset.ask(rcpt(sender="")) == "DUNNO"


def test_db_init_switches_greylisting_on_for_everybody(postern):
    daemon = postern(plugins=["greylisting"])
    assert daemon.ask(rcpt()) == DEFERRED


def test_db_init_empty_leaves_greylisting_off(postern):
    daemon = postern(plugins=["greylisting"], init=False, start=False)
    daemon.init_database("--empty")
    daemon.start()
    assert daemon.ask(rcpt()) == "DUNNO"


# --- whitelists ---

@pytest.mark.parametrize("table", ["greylisting_whitelists", "greylisting_whitelist_domain_spf"])
@pytest.mark.parametrize("sender", SENDER_FORMS)
def test_whitelisted_sender_is_not_greylisted(greylist, sender, table):
    greylist.database.whitelist(sender, table=table)
    assert greylist.ask(rcpt(**SENDER)) == "DUNNO"
    assert greylist.database.count("greylisting_tracking") == 0


@pytest.mark.parametrize("table", ["greylisting_whitelists", "greylisting_whitelist_domain_spf"])
@pytest.mark.parametrize("sender", IPV6_FORMS)
def test_whitelisted_ipv6_client_is_not_greylisted(greylist, sender, table):
    greylist.database.whitelist(sender, table=table)
    assert greylist.ask(rcpt(**IPV6_SENDER)) == "DUNNO"


def test_whitelist_of_others_does_not_help(greylist):
    for sender in OTHER_SENDER_FORMS:
        greylist.database.whitelist(sender)
    assert greylist.ask(rcpt(**SENDER)) == DEFERRED


@pytest.mark.parametrize("account", RECIPIENT_FORMS)
def test_whitelist_of_this_account_applies_to_the_recipient(greylist, account):
    greylist.database.whitelist("192.0.2.0/24", account=account)
    assert greylist.ask(rcpt(recipient=RECIPIENT)) == "DUNNO"


@pytest.mark.parametrize("account", OTHER_RECIPIENT_FORMS)
def test_whitelist_of_another_account_does_not_apply(greylist, account):
    greylist.database.whitelist("192.0.2.7", account=account)
    assert greylist.ask(rcpt(recipient=RECIPIENT)) == DEFERRED


def test_whitelist_counts_before_any_setting(greylist):
    greylist.database.set_greylisting("bob@example.org", "alice@sender.example", active=True)
    greylist.database.whitelist("@.example")
    assert greylist.ask(rcpt()) == "DUNNO"


# --- options ---

def test_other_wildcards_match_only_with_all_wildcards(greylist_with):
    daemon = greylist_with(all_wildcards=True)
    daemon.database.whitelist("192.*.2.*")
    assert daemon.ask(rcpt()) == "DUNNO"
    daemon.set_options("greylisting", all_wildcards=False)
    daemon.reload()
    assert daemon.ask(rcpt()) == DEFERRED


def test_durations_are_those_of_the_options(greylist_with):
    daemon = greylist_with(block_expire="2m", unauth_triplet_expire="1h",
                           auth_triplet_expire="10d")
    daemon.ask(rcpt())
    row, = daemon.database.triplets()
    assert row["block_expired"] == daemon.now + 2 * MINUTE
    assert row["record_expired"] == daemon.now + HOUR
    daemon.advance(2 * MINUTE)
    assert daemon.ask(rcpt()) == "DUNNO"
    assert daemon.database.triplets()[0]["record_expired"] == daemon.now + 10 * DAY


def test_message_is_what_follows_the_code(greylist_with):
    daemon = greylist_with(message="come back later")
    assert daemon.ask(rcpt()) == "451 4.7.1 come back later"


def test_training_mode_does_it_all_and_answers_nothing(greylist_with):
    daemon = greylist_with(training_mode=True, delay_header=True)
    assert daemon.ask(rcpt()) == "DUNNO"
    assert daemon.ask(rcpt()) == "DUNNO"
    row, = daemon.database.triplets()
    assert (row["blocked_count"], row["passed"]) == (1, 0)
    daemon.advance(BLOCK)
    assert daemon.ask(rcpt()) == "DUNNO"
    assert daemon.database.triplets()[0]["passed"] == 1


def test_ipv4_prefix_takes_neighbours_for_the_same_client(greylist_with):
    daemon = greylist_with(ipv4_prefix=24)
    daemon.ask(rcpt(client_address="192.0.2.7"))
    daemon.advance(BLOCK)
    assert daemon.ask(rcpt(client_address="192.0.2.200")) == "DUNNO"
    assert [row["client_address"] for row in daemon.database.triplets()] == ["192.0.2.0"]
    assert daemon.ask(rcpt(client_address="192.0.3.7")) == DEFERRED


def test_ipv6_prefix_takes_neighbours_for_the_same_client(greylist_with):
    daemon = greylist_with(ipv6_prefix=64)
    daemon.ask(rcpt(client_address="2001:db8:0:1::7"))
    daemon.advance(BLOCK)
    assert daemon.ask(rcpt(client_address="2001:db8:0:1:ffff::1")) == "DUNNO"
    assert [row["client_address"] for row in daemon.database.triplets()] == ["2001:db8:0:1::"]
    assert daemon.ask(rcpt(client_address="2001:db8:0:2::7")) == DEFERRED


def test_whitelists_match_the_client_itself_though_prefixes_are_short(greylist_with):
    daemon = greylist_with(ipv4_prefix=24)
    daemon.database.whitelist("192.0.2.7")
    assert daemon.ask(rcpt(client_address="192.0.2.7")) == "DUNNO"
    assert daemon.ask(rcpt(client_address="192.0.2.8")) == DEFERRED


def test_client_is_let_through_after_as_many_triplets_as_wanted(greylist_with):
    daemon = greylist_with(auto_whitelist_after=2)
    let_pass(daemon, recipient="one@example.org")
    assert daemon.ask(rcpt(recipient="two@example.org")) == DEFERRED
    assert daemon.ask(rcpt(recipient="one@example.org")) == "DUNNO"
    daemon.advance(BLOCK)
    assert daemon.ask(rcpt(recipient="two@example.org")) == "DUNNO"
    assert daemon.ask(rcpt(recipient="three@example.org")) == "DUNNO"


def test_delay_header_says_how_long_the_mail_waited(greylist_with):
    daemon = greylist_with(delay_header=True)
    daemon.ask(rcpt())
    daemon.advance(1203)
    expected = f"PREPEND X-Greylist: delayed 1203 seconds by {socket.gethostname()}"
    assert daemon.ask(rcpt()) == expected
    assert daemon.ask(rcpt()) == "DUNNO"


def test_recipient_delimiters_say_what_an_extension_is(postern, database):
    daemon = postern(plugins=["greylisting"], database=database, recipient_delimiters="-")
    daemon.ask(rcpt(recipient="bob-shop@example.org"))
    daemon.ask(rcpt(recipient="bob+shop@example.org"))
    assert [row["recipient"] for row in daemon.database.triplets()] == [
        "bob@example.org", "bob+shop@example.org"]


# --- many at once, and what it costs ---

def test_two_daemons_that_see_a_new_triplet_at_once_store_one_row(postern, database):
    first = postern(plugins=["greylisting"], database=database)
    second = postern(plugins=["greylisting"], database=database, init=False)
    clients = [(first, second)[number % 2].policy() for number in range(16)]
    for round_number in range(10):
        request = rcpt(recipient=f"r{round_number}@example.org")
        answers = at_once(16, lambda number: clients[number].request(request))
        assert answers == [DEFERRED] * 16
    for client in clients:
        client.close()
    rows = database.triplets()
    assert [row["recipient"] for row in rows] == [f"r{number}@example.org" for number in range(10)]
    assert {row["blocked_count"] for row in rows} == {15}


def test_a_client_passes_on_one_daemon_and_is_known_to_the_other(postern, database):
    first = postern(plugins=["greylisting"], database=database)
    second = postern(plugins=["greylisting"], database=database, init=False)
    first.ask(rcpt())
    second.advance(BLOCK + HOUR)
    assert second.ask(rcpt()) == "DUNNO"
    first.advance(HOUR)
    assert first.ask(rcpt(recipient="else@example.org")) == "DUNNO"


def test_greylisted_recipient_costs_at_most_two_statements(greylist_with):
    daemon = greylist_with(cache_ttl="1h")
    with daemon.policy() as client:
        client.rcpt(recipient="warm@example.org")  # the list of networks is read once
        before = daemon.metrics().sum("postern_db_queries_total", database="iredapd")
        for number in range(10):
            assert client.rcpt(recipient=f"r{number}@example.org") == DEFERRED
    asked = daemon.metrics().sum("postern_db_queries_total", database="iredapd") - before
    assert 10 <= asked <= 20


def test_settings_are_remembered_for_cache_ttl(greylist_with):
    daemon = greylist_with(cache_ttl="1h")
    with daemon.policy() as client:
        assert client.rcpt() == DEFERRED
        daemon.database.whitelist("@sender.example")
        assert client.rcpt() == DEFERRED
    daemon.reload()
    assert daemon.ask(rcpt()) == "DUNNO"


def test_triplets_are_never_remembered(greylist_with):
    daemon = greylist_with(cache_ttl="1h")
    with daemon.policy() as client:
        client.rcpt()
        daemon.database.execute("DELETE FROM greylisting_tracking")
        daemon.advance(BLOCK)
        assert client.rcpt() == DEFERRED
