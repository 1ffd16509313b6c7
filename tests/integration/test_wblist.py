"""The rules of behaviour.md, "wblist", one by one."""
import pytest

from harness.policy import end_of_message, rcpt

BLACKLISTED = "REJECT Blacklisted"
WHITELISTED = "permit_auth_destination"
LISTS = ("wblist", "outbound_wblist", "users", "mailaddr")


@pytest.fixture(scope="module")
def default_daemon(shared_postern, shared_folder, backend):
    """One daemon with the default options, for all tests that need no others."""
    return shared_postern(plugins=["wblist"], database=backend.create(shared_folder, "amavisd"),
                          sections={"directory": {"local_domains": ["hosted.example"]}})


@pytest.fixture
def daemon(default_daemon):
    """That daemon, with nothing listed."""
    for table in LISTS:
        default_daemon.database.amavisd.execute(f"DELETE FROM {table}")
    return default_daemon


@pytest.fixture
def amavisd(daemon):
    return daemon.database.amavisd


@pytest.fixture
def daemon_with(postern, databases):
    """Makes a daemon with other options."""
    def make(sections=None, **options):
        return postern(plugins=["wblist"], options={"wblist": options}, database=databases,
                       sections=sections)
    return make


def from_user(login="alice@example.org", **attributes):
    return rcpt(**{"sasl_username": login, "sender": login, "recipient": "bob@far.example",
                   **attributes})


# --- inbound: who is listed ---

SENDER = "alice+news@a.sender.example"


@pytest.mark.parametrize("entry", [
    "alice+news@a.sender.example", "alice@a.sender.example", "@a.sender.example",
    "@.a.sender.example", "@.sender.example", "@.example", "@.", "alice@*"])
def test_every_form_of_a_sender_matches(daemon, amavisd, entry):
    amavisd.list_address("B", entry)
    assert daemon.ask(rcpt(sender=SENDER)) == BLACKLISTED


@pytest.mark.parametrize("entry", [
    "alice@sender.example", "@sender.example", "@.other.example", "news@*", "alice+news@*",
    "bob@example.org", "@ip", "192.0.2.8", "192.0.3.0/24", "2001:db8::/32"])
def test_what_is_not_a_name_of_the_sender_does_not_match(daemon, amavisd, entry):
    amavisd.list_address("B", entry)
    assert daemon.ask(rcpt(sender=SENDER)) == "DUNNO"


@pytest.mark.parametrize("entry, client", [
    ("192.0.2.7", "192.0.2.7"), ("192.0.2.*", "192.0.2.7"), ("192.0.*.7", "192.0.2.7"),
    ("192.0.2.0/24", "192.0.2.7"), ("192.0.2.6/31", "192.0.2.7"), ("192.0.0.0/15", "192.1.2.7"),
    ("0.0.0.0/0", "192.0.2.7"), ("2001:db8::7", "2001:db8::7"), ("2001:db8::/32", "2001:db8:5::7"),
    ("2001:db8:5::/47", "2001:db8:4::7"), ("::/0", "2001:db8::7")])
def test_address_wildcard_and_network_of_the_client_match(daemon, amavisd, entry, client):
    amavisd.list_address("B", entry)
    assert daemon.ask(rcpt(client_address=client)) == BLACKLISTED


@pytest.mark.parametrize("entry, client", [
    ("192.0.2.0/24", "192.0.3.7"), ("192.0.2.6/32", "192.0.2.7"), ("0.0.0.0/0", "2001:db8::7"),
    ("2001:db8::/32", "2001:db9::7"), ("::/0", "192.0.2.7"), ("192.*.2.7", "192.0.2.7")])
def test_other_networks_do_not_match(daemon, amavisd, entry, client):
    amavisd.list_address("B", entry)
    assert daemon.ask(rcpt(client_address=client)) == "DUNNO"


def test_all_wildcards_matches_every_combination(daemon_with, databases):
    daemon = daemon_with(all_wildcards=True)
    databases.amavisd.list_address("B", "192.*.2.*")
    assert daemon.ask(rcpt(client_address="192.0.2.7")) == BLACKLISTED
    assert daemon.ask(rcpt(client_address="192.0.3.7")) == "DUNNO"


@pytest.mark.parametrize("account", [
    "bob+x@a.example.org", "bob@a.example.org", "@a.example.org", "@.a.example.org",
    "@.example.org", "@.org", "@."])
def test_every_form_of_a_recipient_has_lists(daemon, amavisd, account):
    amavisd.list_address("B", "alice@sender.example", account)
    assert daemon.ask(rcpt(recipient="bob+x@a.example.org")) == BLACKLISTED
    assert daemon.ask(rcpt(recipient="bob@b.example.net")) == (
        BLACKLISTED if account == "@." else "DUNNO")


def test_addresses_are_compared_without_case(daemon, amavisd):
    amavisd.list_address("B", "alice@sender.example", "bob@example.org")
    assert daemon.ask(rcpt(sender="Alice@Sender.Example", recipient="BOB@example.org")) == (
        BLACKLISTED)


def test_address_in_utf8_matches(daemon, amavisd):
    amavisd.list_address("B", "jürgen@bücher.example", "bob@example.org")
    assert daemon.ask(rcpt(sender="jürgen@bücher.example")) == BLACKLISTED


def test_odd_rows_do_no_harm(daemon, amavisd):
    """Left over from deleted accounts, or with words that are neither white nor black."""
    amavisd.execute("INSERT INTO wblist (rid, sid, wb) VALUES (98765, 87654, 'B')")
    amavisd.list_address("X", "alice@sender.example")
    assert daemon.ask(rcpt()) == "DUNNO"
    amavisd.list_address("B", "@.")
    assert daemon.ask(rcpt()) == BLACKLISTED


# --- inbound: who decides ---

def test_recipients_priority_goes_before_the_senders(daemon, amavisd):
    amavisd.list_address("B", "alice@sender.example", "@.")
    amavisd.list_address("W", "@.", "bob@example.org")
    assert daemon.ask(rcpt()) == WHITELISTED
    assert daemon.ask(rcpt(recipient="eve@example.org")) == BLACKLISTED


def test_senders_priority_decides_between_equal_recipients(daemon, amavisd):
    amavisd.list_address("B", "@sender.example")
    amavisd.list_address("W", "alice@sender.example")
    assert daemon.ask(rcpt()) == WHITELISTED
    assert daemon.ask(rcpt(sender="eve@sender.example")) == BLACKLISTED


def test_priorities_are_those_of_the_rows(daemon, amavisd):
    amavisd.list_address("B", "@sender.example", priority=20)
    amavisd.list_address("W", "alice@sender.example", priority=10)
    assert daemon.ask(rcpt()) == BLACKLISTED
    amavisd.execute("UPDATE mailaddr SET priority = 30 WHERE email = ?", "alice@sender.example")
    assert daemon.ask(rcpt()) == WHITELISTED
    amavisd.list_address("B", "@.example", "@example.org", account_priority=99)
    assert daemon.ask(rcpt()) == BLACKLISTED


@pytest.mark.parametrize("priority", [0, 3, 100])
def test_network_matches_whatever_its_priority(daemon, amavisd, priority):
    amavisd.list_address("B", "192.0.2.0/24", priority=priority)
    assert daemon.ask(rcpt()) == BLACKLISTED


@pytest.mark.parametrize("first, second", [("192.0.2.0/24", "192.0.0.0/16"),
                                           ("192.0.0.0/16", "192.0.2.0/24")])
def test_smaller_network_decides_between_equal_ones(daemon, amavisd, first, second):
    words = {"192.0.2.0/24": "B", "192.0.0.0/16": "W"}
    for network in (first, second):
        amavisd.list_address(words[network], network)
    assert daemon.ask(rcpt()) == BLACKLISTED
    assert daemon.ask(rcpt(client_address="192.0.3.1")) == WHITELISTED


def test_whitelist_decides_between_equals(daemon, amavisd):
    amavisd.list_address("B", "alice@*", priority=7)
    amavisd.list_address("W", "@sender.example", priority=7)
    assert daemon.ask(rcpt()) == WHITELISTED


# --- inbound: when it applies ---

def test_no_sender_or_oneself_is_not_asked_about(daemon, amavisd):
    amavisd.list_address("B", "@.")
    assert daemon.ask(rcpt()) == BLACKLISTED
    assert daemon.ask(rcpt(sender="")) == "DUNNO"
    assert daemon.ask(rcpt(sender="bob@example.org")) == "DUNNO"


def test_only_recipients_are_judged(daemon, amavisd):
    amavisd.list_address("B", "@.")
    assert daemon.ask(end_of_message()) == "DUNNO"


def test_login_is_the_sender(daemon, amavisd):
    amavisd.list_address("B", "carol@example.org")
    inside = {"recipient": "bob@example.org", "sasl_username": "carol@example.org"}
    assert daemon.ask(rcpt(sender="alice@sender.example", **inside)) == BLACKLISTED
    assert daemon.ask(rcpt(sender="", **inside)) == BLACKLISTED
    assert daemon.ask(rcpt(sender="carol@example.org", **{**inside, "sasl_username":
                                                          "dora@example.org"})) == "DUNNO"


def test_inbound_list_of_an_authenticated_user_applies_within_a_domain_and_to_hosted_ones(
        daemon, amavisd):
    amavisd.list_address("B", "alice@example.org")
    assert daemon.ask(from_user()) == "DUNNO"
    assert daemon.ask(from_user(recipient="bob@example.org")) == BLACKLISTED
    assert daemon.ask(from_user(recipient="bob@hosted.example")) == BLACKLISTED
    assert daemon.ask(rcpt(sender="alice@example.org", recipient="bob@far.example")) == BLACKLISTED


def test_domains_of_the_mail_system_and_their_aliases_are_hosted(daemon_with, databases):
    daemon = daemon_with(sections={"directory": {"backend": "sql"}})
    vmail = databases.vmail
    vmail.execute("INSERT INTO domain (domain) VALUES (?)", "main.example")
    vmail.execute("INSERT INTO alias_domain (alias_domain, target_domain) VALUES (?, ?)",
                  "alias.example", "main.example")
    databases.amavisd.list_address("B", "alice@example.org")
    assert daemon.ask(from_user(recipient="bob@main.example")) == BLACKLISTED
    assert daemon.ask(from_user(recipient="bob@alias.example")) == BLACKLISTED
    assert daemon.ask(from_user(recipient="bob@far.example")) == "DUNNO"


def test_unknown_whether_hosted_is_answered_as_on_error_says(postern, databases):
    daemon = postern(plugins=["wblist"], database=databases, on_error="defer",
                     sections={"directory": {"backend": "sql"}})
    databases.vmail.execute("ALTER TABLE domain RENAME TO gone")
    assert daemon.ask(from_user()).startswith("451 4.3.0 ")
    assert daemon.ask(rcpt()) == "DUNNO"


# --- inbound: the answer ---

def test_whitelisted_sender_ends_the_chain(postern, databases):
    daemon = postern(plugins=["wblist", "greylisting"], database=databases,
                     options={"wblist": {"priority": 90}})
    assert daemon.ask(rcpt()).startswith("451 ")
    databases.amavisd.list_address("W", "alice@sender.example")
    assert daemon.ask(rcpt(recipient="eve@example.org")) == WHITELISTED


@pytest.mark.parametrize("action", ["OK", "DUNNO", "permit_auth_destination"])
def test_whitelist_action_is_the_answer(daemon_with, databases, action):
    daemon = daemon_with(whitelist_action=action)
    databases.amavisd.list_address("W", "alice@sender.example")
    assert daemon.ask(rcpt()) == action


def test_discard_throws_the_mail_away(daemon_with, databases):
    daemon = daemon_with(discard=True)
    databases.amavisd.list_address("B", "alice@sender.example")
    assert daemon.ask(rcpt()) == "DISCARD Policy discard"


def test_entry_is_the_reason_in_the_log(daemon, amavisd):
    amavisd.list_address("B", "192.0.2.0/24", "@example.org")
    daemon.ask(rcpt())
    daemon.wait_for_log("inbound blacklist of @example.org: 192.0.2.0/24")


# --- outbound ---

@pytest.mark.parametrize("entry", ["bob+x@far.example", "bob@far.example", "bob@*",
                                   "@far.example", "@.far.example", "@.example", "@."])
@pytest.mark.parametrize("account", ["alice@example.org", "@example.org", "@.example.org",
                                     "@.org", "@."])
def test_every_form_of_user_and_recipient_matches_outbound(daemon, amavisd, account, entry):
    amavisd.list_address("B", entry, account, outbound=True)
    assert daemon.ask(from_user(recipient="bob+x@far.example")) == BLACKLISTED


def test_outbound_list_is_for_authenticated_users_only(daemon, amavisd):
    amavisd.list_address("B", "@.", outbound=True)
    assert daemon.ask(from_user()) == BLACKLISTED
    assert daemon.ask(rcpt()) == "DUNNO"


def test_outbound_list_does_not_ask_about_the_client(daemon, amavisd):
    amavisd.list_address("B", "192.0.2.0/24", outbound=True)
    amavisd.list_address("B", "192.0.2.7", outbound=True)
    assert daemon.ask(from_user()) == "DUNNO"


def test_users_priority_goes_before_the_recipients(daemon, amavisd):
    amavisd.list_address("B", "bob@far.example", "@.", outbound=True)
    amavisd.list_address("W", "@far.example", "alice@example.org", outbound=True)
    assert daemon.ask(from_user()) == "DUNNO"
    assert daemon.ask(from_user("eve@example.org")) == BLACKLISTED


def test_recipients_priority_decides_between_equal_users(daemon, amavisd):
    amavisd.list_address("B", "@far.example", "@.", outbound=True)
    amavisd.list_address("W", "bob@far.example", "@.", outbound=True)
    assert daemon.ask(from_user()) == "DUNNO"
    assert daemon.ask(from_user(recipient="eve@far.example")) == BLACKLISTED


def test_outbound_whitelist_leaves_the_inbound_list_to_be_asked(daemon, amavisd):
    amavisd.list_address("W", "@.", outbound=True)
    amavisd.list_address("B", "alice@example.org")
    assert daemon.ask(from_user(recipient="bob@hosted.example")) == BLACKLISTED
    assert daemon.ask(from_user(recipient="bob@far.example")) == "DUNNO"


def test_outbound_blacklist_goes_before_the_inbound_whitelist(daemon, amavisd):
    amavisd.list_address("B", "@.", outbound=True)
    amavisd.list_address("W", "alice@example.org")
    assert daemon.ask(from_user(recipient="bob@hosted.example")) == BLACKLISTED


def test_bypass_outgoing_leaves_out_the_outbound_list_only(daemon_with, databases):
    daemon = daemon_with(bypass_outgoing=True)
    databases.amavisd.list_address("B", "@.", outbound=True)
    assert daemon.ask(from_user()) == "DUNNO"
    databases.amavisd.list_address("B", "alice@example.org")
    assert daemon.ask(from_user(recipient="bob@example.org")) == BLACKLISTED


# --- the database ---

def test_lists_are_read_once_for_many_requests(postern, databases):
    daemon = postern(plugins=["wblist"], database=databases, cache_ttl="60s", workers=1)
    databases.amavisd.list_address("B", "@.", "bob@elsewhere.example")
    daemon.ask(from_user(recipient="bob@example.org"))
    before = daemon.metrics().sum("postern_db_queries_total")
    for number in range(20):
        daemon.ask(rcpt(sender=f"s{number}@sender.example"))
        daemon.ask(from_user(f"u{number}@example.org", recipient="bob@example.org"))
    daemon.wait_for_metric(41, "postern_requests_total", state="RCPT")
    assert daemon.metrics().sum("postern_db_queries_total") == before


def fill_lists(amavisd, count):
    """`count` blacklisted senders for everybody: 0@many.example and so on."""
    everybody = amavisd.amavisd_id("users", "@.")
    for start in range(0, count, 10000):
        numbers = range(start, min(start + 10000, count))
        amavisd.execute("INSERT INTO mailaddr (id, email, priority) VALUES " + ", ".join(
            f"({1000000 + number}, '{number}@many.example', 10)" for number in numbers))
        amavisd.execute("INSERT INTO wblist (rid, sid, wb) VALUES " + ", ".join(
            f"({everybody}, {1000000 + number}, 'B')" for number in numbers))


def test_list_of_many_pages_is_read_whole(daemon, amavisd):
    fill_lists(amavisd, 3500)
    for number in (0, 999, 1000, 1001, 2000, 3499):
        assert daemon.ask(rcpt(sender=f"{number}@many.example")) == BLACKLISTED
    assert daemon.ask(rcpt(sender="3500@many.example")) == "DUNNO"


def test_list_that_is_too_large_to_keep_is_asked(postern, databases):
    daemon = postern(plugins=["wblist"], database=databases, cache_ttl="60s", workers=1)
    fill_lists(databases.amavisd, 100100)
    databases.amavisd.list_address("B", "198.51.100.0/24", "bob@example.org")
    databases.amavisd.list_address("W", "jürgen@many.example")
    for number in (0, 50000, 100099):
        assert daemon.ask(rcpt(sender=f"{number}@many.example")) == BLACKLISTED
    assert daemon.ask(rcpt(sender="100100@many.example")) == "DUNNO"
    assert daemon.ask(rcpt(client_address="198.51.100.9")) == BLACKLISTED
    assert daemon.ask(rcpt(sender="jürgen@many.example")) == WHITELISTED
    assert daemon.ask(rcpt(sender='"a\\\\b"@many.example')) == "DUNNO"


def test_failed_lookup_is_answered_as_on_error_says(postern, databases):
    daemon = postern(plugins=["wblist"], database=databases, on_error="defer")
    databases.amavisd.execute("DROP TABLE wblist")
    assert daemon.ask(rcpt()).startswith("451 4.3.0 ")


def test_daemon_on_a_server_needs_amavisd_to_be_configured(build, postern):
    daemon = postern(plugins=["wblist"], start=False, init=False,
                     sections={'database "iredapd"': {"driver": "pgsql"}})
    done = daemon.run("-t", "-c", daemon.config)
    assert done.returncode != 0
    assert 'wblist: expected a section database "amavisd"' in done.stderr


def test_iredapds_name_is_accepted(postern, databases):
    daemon = postern(plugins=["amavisd_wblist"], database=databases)
    databases.amavisd.list_address("B", "alice@sender.example")
    assert daemon.ask(rcpt()) == BLACKLISTED
