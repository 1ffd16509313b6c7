"""The rules of behaviour.md, "wblist_rdns", one by one."""
import pytest

from harness.policy import rcpt

BLACKLISTED = "REJECT Blacklisted"


@pytest.fixture(scope="module")
def default_daemon(shared_postern, shared_folder, backend):
    return shared_postern(plugins=["wblist_rdns"], database=backend.create(shared_folder),
                          mynetworks=["198.51.100.0/24"])


@pytest.fixture
def daemon(default_daemon):
    """That daemon, with nothing listed."""
    default_daemon.database.execute("DELETE FROM wblist_rdns")
    return default_daemon


def list_name(daemon, word, name):
    daemon.database.execute("INSERT INTO wblist_rdns (rdns, wb) VALUES (?, ?)", name, word)


def from_name(name, **attributes):
    return rcpt(reverse_client_name=name, **attributes)


@pytest.mark.parametrize("entry", ["mx.a.example.com", ".mx.a.example.com", ".a.example.com",
                                   ".example.com", ".com"])
def test_blacklisted_name_or_parent_of_it_is_rejected(daemon, entry):
    list_name(daemon, "B", entry)
    assert daemon.ask(from_name("mx.a.example.com")) == BLACKLISTED
    assert daemon.ask(from_name("MX.A.example.COM")) == BLACKLISTED
    assert daemon.ask(from_name("mx.a.example.net")) == "DUNNO"


@pytest.mark.parametrize("entry", ["a.example.com", "example.com", "com", ".x.a.example.com",
                                   "mx.a.example", ".", "", "@."])
def test_other_names_do_not_match(daemon, entry):
    list_name(daemon, "B", entry)
    assert daemon.ask(from_name("mx.a.example.com")) == "DUNNO"


@pytest.mark.parametrize("white, black", [(".example.com", "mx.example.com"),
                                          ("mx.example.com", ".example.com")])
def test_whitelisted_name_wins_over_any_blacklisted_one(daemon, white, black):
    list_name(daemon, "B", black)
    list_name(daemon, "W", white)
    assert daemon.ask(from_name("mx.example.com")) == "DUNNO"


def test_whitelisted_name_ends_this_plugin_only(postern, database):
    daemon = postern(plugins=["wblist_rdns", "greylisting"], database=database)
    list_name(daemon, "W", "mx.sender.example")
    assert daemon.ask(rcpt()).startswith("451 ")


def test_row_that_is_neither_white_nor_black_says_nothing(daemon):
    list_name(daemon, "X", "mx.sender.example")
    assert daemon.ask(rcpt()) == "DUNNO"


def test_authenticated_and_trusted_clients_are_not_asked_about(daemon):
    list_name(daemon, "B", ".example")
    assert daemon.ask(rcpt()) == BLACKLISTED
    assert daemon.ask(rcpt(sasl_username="u@example.org")) == "DUNNO"
    assert daemon.ask(rcpt(client_address="198.51.100.3")) == "DUNNO"
    assert daemon.ask(rcpt(client_address="127.0.0.1")) == "DUNNO"


@pytest.mark.parametrize("name", ["", "unknown"])
def test_client_without_name_is_not_asked_about(daemon, name):
    for entry in ("", "unknown", ".unknown", "."):
        list_name(daemon, "B", entry)
    assert daemon.ask(from_name(name)) == "DUNNO"


def test_name_is_the_reverse_one_and_not_the_verified_one(daemon):
    list_name(daemon, "B", "mx.sender.example")
    assert daemon.ask(from_name("mx.sender.example", client_name="unknown")) == BLACKLISTED
    assert daemon.ask(from_name("other.example", client_name="mx.sender.example")) == "DUNNO"


def test_name_of_many_labels_is_answered(daemon):
    list_name(daemon, "B", ".example.com")
    assert daemon.ask(from_name("a." * 3000 + "example.com")) == BLACKLISTED


def test_discard_throws_the_mail_away(postern, database):
    daemon = postern(plugins=["wblist_rdns"], database=database,
                     options={"wblist_rdns": {"discard": True}})
    list_name(daemon, "B", ".sender.example")
    assert daemon.ask(rcpt()) == "DISCARD Policy discard"


def test_matching_entry_is_the_reason_in_the_log(daemon):
    list_name(daemon, "B", ".sender.example")
    daemon.ask(rcpt(instance="reason.1"))
    daemon.wait_for_log("blacklist of client names: .sender.example")


def test_list_is_read_once_for_many_requests(postern, database):
    daemon = postern(plugins=["wblist_rdns"], database=database, cache_ttl="60s", workers=1)
    daemon.ask(rcpt())
    before = daemon.metrics().sum("postern_db_queries_total")
    for number in range(20):
        daemon.ask(from_name(f"mx{number}.sender.example"))
    daemon.wait_for_metric(21, "postern_requests_total", state="RCPT")
    assert daemon.metrics().sum("postern_db_queries_total") == before


def test_failed_lookup_is_answered_as_on_error_says(postern, database):
    daemon = postern(plugins=["wblist_rdns"], database=database, on_error="defer")
    database.execute("DROP TABLE wblist_rdns")
    assert daemon.ask(rcpt()).startswith("451 4.3.0 ")
