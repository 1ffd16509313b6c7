"""The rules of behaviour.md, "whitelist_outbound_recipient", one by one."""
import itertools

import pytest

from harness.load import at_once
from harness.policy import end_of_message, rcpt
from harness.wait import wait_for

PLUGIN = "whitelist_outbound_recipient"
LOCAL = {"directory": {"local_domains": ["hosted.example"]}}
REMEMBERED = 600
instances = itertools.count()


@pytest.fixture(scope="module")
def default_daemon(shared_postern, shared_folder, backend):
    return shared_postern(plugins=[PLUGIN], database=backend.create(shared_folder), sections=LOCAL)


@pytest.fixture
def daemon(default_daemon):
    """That daemon, with nothing whitelisted; what it has written is long ago."""
    for table in ("greylisting_whitelists", "greylisting_whitelist_domains"):
        default_daemon.database.execute(f"DELETE FROM {table}")
    default_daemon.advance(REMEMBERED)
    return default_daemon


@pytest.fixture
def daemon_with(postern, databases):
    def make(plugins=(PLUGIN,), options=None, sections=LOCAL, **settings):
        return postern(plugins=plugins, options={PLUGIN: options or {}}, database=databases,
                       sections=sections, **settings)
    return make


def write(daemon, *recipients, login="alice@example.org"):
    """A message of a user, through RCPT and to its end, whose answer it returns."""
    message = {"sasl_username": login, "sender": login, "instance": f"out.{next(instances)}"}
    with daemon.policy() as client:
        for recipient in recipients:
            assert client.request(rcpt(recipient=recipient, **message)) == "DUNNO"
        only = recipients[0] if len(recipients) == 1 else ""
        return client.request(end_of_message(recipient=only, recipient_count=len(recipients),
                                             **message))


def whitelisted(daemon):
    return sorted(daemon.database.query(
        "SELECT account, sender, comment FROM greylisting_whitelists"))


def rows(*pairs):
    return sorted((*pair, "AUTO-WHITELISTED") for pair in pairs)


# --- whom for whom ---

def test_recipient_outside_is_whitelisted_for_the_user(daemon):
    assert write(daemon, "bob@far.example") == "DUNNO"
    assert whitelisted(daemon) == rows(("alice@example.org", "bob@far.example"))


def test_all_recipients_of_a_message_are_whitelisted(daemon):
    names = [f"r{number}@d{number % 7}.example" for number in range(100)]
    write(daemon, *names, *names[:5])
    assert whitelisted(daemon) == rows(*[("alice@example.org", name) for name in names])


def test_extension_is_removed_and_case_does_not_count(daemon):
    write(daemon, "Bob+x@far.example", "bob@FAR.example", "bob+y@far.example")
    assert whitelisted(daemon) == rows(("alice@example.org", "bob@far.example"))


def test_recipients_here_are_not_whitelisted(daemon):
    write(daemon, "eve@example.org", "bob@hosted.example", "bob@far.example")
    assert whitelisted(daemon) == rows(("alice@example.org", "bob@far.example"))


def test_recipients_in_domains_of_the_mail_system_are_not_whitelisted(daemon_with, databases):
    daemon = daemon_with(sections={"directory": {"backend": "sql"}})
    vmail = databases.vmail
    vmail.execute("INSERT INTO domain (domain) VALUES (?)", "main.example")
    vmail.execute("INSERT INTO alias_domain (alias_domain, target_domain) VALUES (?, ?)",
                  "alias.example", "main.example")
    write(daemon, "a@main.example", "b@alias.example", "c@far.example")
    assert whitelisted(daemon) == rows(("alice@example.org", "c@far.example"))


def test_only_mail_of_authenticated_users_counts(daemon):
    assert daemon.ask(end_of_message(recipient="bob@far.example")) == "DUNNO"
    assert daemon.ask(rcpt(recipient="bob@far.example",
                           sasl_username="alice@example.org")) == "DUNNO"
    assert whitelisted(daemon) == []


@pytest.mark.parametrize("recipient", ["", "nobody", "a@b@c", "a b@far.example"])
def test_what_is_no_address_is_not_whitelisted(daemon, recipient):
    assert daemon.ask(end_of_message(recipient=recipient,
                                     sasl_username="alice@example.org")) == "DUNNO"
    assert whitelisted(daemon) == []


def test_login_that_is_no_address_is_whitelisted_for_nobody(daemon):
    write(daemon, "bob@far.example", login="alice")
    assert whitelisted(daemon) == []


@pytest.mark.parametrize("name", ['"a\\\\b\\"c"@far.example', "o'hara@far.example",
                                  "jürgen@bücher.example", "a%_?$1@far.example"])
def test_odd_addresses_are_whitelisted_as_they_are(daemon, name):
    write(daemon, name)
    assert whitelisted(daemon) == rows(("alice@example.org", name))


def test_address_too_long_for_the_table_is_left_out(daemon):
    fits = "x" * (255 - len("@far.example")) + "@far.example"
    write(daemon, "x" + fits, "y" * 300 + "@far.example", fits)
    assert whitelisted(daemon) == rows(("alice@example.org", fits))


@pytest.mark.parametrize("account, recipient, row", [
    ("user", "domain", ("alice@example.org", "@far.example")),
    ("domain", "user", ("@example.org", "bob@far.example")),
    ("domain", "domain", ("@example.org", "@far.example")),
    ("global", "user", ("@.", "bob@far.example")),
    ("global", "domain", ("@.", "@far.example"))])
def test_account_and_recipient_say_who_is_whitelisted_for_whom(daemon_with, account, recipient,
                                                               row):
    daemon = daemon_with(options={"account": account, "recipient": recipient})
    write(daemon, "bob@far.example")
    assert whitelisted(daemon) == rows(row)


def test_whitelist_domain_submits_the_domains_instead(daemon_with, databases):
    daemon = daemon_with(options={"whitelist_domain": True})
    databases.execute("INSERT INTO greylisting_whitelist_domains (domain) VALUES (?)",
                      "known.example")
    write(daemon, "bob@far.example", "eve@far.example", "a@sub.other.example", "x@known.example",
          "bob@hosted.example")
    assert whitelisted(daemon) == []
    assert sorted(databases.query("SELECT domain FROM greylisting_whitelist_domains")) == [
        ("far.example",), ("known.example",), ("sub.other.example",)]


# --- writing ---

def test_row_that_is_there_stays_as_it_is(daemon):
    daemon.database.execute("INSERT INTO greylisting_whitelists (account, sender, comment)"
                            " VALUES (?, ?, ?)", "alice@example.org", "bob@far.example", "by hand")
    write(daemon, "bob@far.example", "eve@far.example")
    assert whitelisted(daemon) == [
        ("alice@example.org", "bob@far.example", "by hand"),
        ("alice@example.org", "eve@far.example", "AUTO-WHITELISTED")]


def test_message_costs_one_statement_and_its_repetition_none(daemon_with):
    daemon = daemon_with(workers=1)
    names = [f"r{number}@d{number}.example" for number in range(50)]
    write(daemon, *names)
    before = daemon.metrics().sum("postern_db_queries_total", database="iredapd")
    write(daemon, *names)
    write(daemon, *names[10:20])
    assert daemon.metrics().sum("postern_db_queries_total", database="iredapd") == before
    write(daemon, *names, *[f"s{number}@far.example" for number in range(50)])
    assert daemon.metrics().sum("postern_db_queries_total", database="iredapd") == before + 1
    assert len(whitelisted(daemon)) == 100


def test_deleted_row_comes_back_some_time_later(daemon):
    write(daemon, "bob@far.example")
    daemon.database.execute("DELETE FROM greylisting_whitelists")
    daemon.advance(REMEMBERED)
    write(daemon, "bob@far.example")
    assert whitelisted(daemon) == rows(("alice@example.org", "bob@far.example"))


def test_one_users_recipient_is_not_anothers(daemon):
    write(daemon, "bob@far.example")
    write(daemon, "bob@far.example", login="carol@example.org")
    assert whitelisted(daemon) == rows(("alice@example.org", "bob@far.example"),
                                       ("carol@example.org", "bob@far.example"))


def test_messages_at_once_with_common_recipients_are_all_written(daemon_with):
    daemon = daemon_with(workers=2, on_error="defer")
    names = [f"r{number}@far.example" for number in range(40)]
    orders = [names[start:] + names[:start] for start in range(0, 40, 5)] * 4
    answers = at_once(len(orders), lambda number: write(daemon, *orders[number]))
    assert set(answers) == {"DUNNO"}
    assert whitelisted(daemon) == rows(*[("alice@example.org", name) for name in names])
    assert "failed" not in daemon.stderr_text()


def test_message_of_many_recipients_is_written(daemon):
    names = [f"r{number}@far.example" for number in range(900)]
    write(daemon, *names)
    assert len(whitelisted(daemon)) == 900


# --- failures ---

@pytest.mark.parametrize("on_error", ["defer", "dunno"])
def test_failed_write_does_not_touch_the_mail_and_is_tried_with_the_next(daemon_with, databases,
                                                                         on_error):
    daemon = daemon_with(on_error=on_error, workers=1)
    databases.execute("ALTER TABLE greylisting_whitelists RENAME TO gone")
    assert write(daemon, "bob@far.example") == "DUNNO"
    daemon.wait_for_log(f"plugin {PLUGIN}: the mail goes on without a write")
    databases.execute("ALTER TABLE gone RENAME TO greylisting_whitelists")
    assert write(daemon, "bob@far.example") == "DUNNO"
    assert whitelisted(daemon) == rows(("alice@example.org", "bob@far.example"))


def test_unknown_whether_hosted_whitelists_nobody_and_does_not_touch_the_mail(daemon_with,
                                                                              databases):
    daemon = daemon_with(on_error="defer", sections={"directory": {"backend": "sql"}})
    databases.vmail.execute("ALTER TABLE domain RENAME TO gone")
    assert write(daemon, "bob@far.example") == "DUNNO"
    assert whitelisted(daemon) == []


# --- with greylisting ---

def test_answer_to_a_user_is_not_greylisted(daemon_with):
    daemon = daemon_with(plugins=["greylisting", PLUGIN])
    answer = {"sender": "bob@far.example", "recipient": "alice@example.org"}
    assert daemon.ask(rcpt(**answer)).startswith("451 ")
    write(daemon, "bob+lists@far.example")
    assert daemon.ask(rcpt(**answer)) == "DUNNO"
    assert daemon.ask(rcpt(**{**answer, "sender": "bob+lists@far.example"})) == "DUNNO"
    assert daemon.ask(rcpt(**{**answer, "recipient": "alice+x@example.org"})) == "DUNNO"
    assert daemon.ask(rcpt(**{**answer, "recipient": "eve@example.org"})).startswith("451 ")
    assert daemon.ask(rcpt(**{**answer, "sender": "eve@far.example"})).startswith("451 ")


def test_answer_is_not_greylisted_by_any_worker_within_cache_ttl(daemon_with):
    daemon = daemon_with(plugins=["greylisting", PLUGIN], cache_ttl="1s", workers=2)
    for number in range(8):
        assert daemon.ask(rcpt(sender=f"{number}@far.example")).startswith("451 ")
    write(daemon, "bob@far.example", login="bob@example.org")
    wait_for(lambda: all(daemon.ask(rcpt(sender="bob@far.example")) == "DUNNO"
                         for _ in range(8)), "all workers to know the new row")
