"""The chain of plugins, the two small ones, and plugins from outside the tree."""
import os
import re
import socket
import subprocess

import pytest

from harness.plugin import build_plugin
from harness.policy import end_of_message, rcpt

DEFERRED = "451 4.7.1 Intentional policy rejection, please try again later"
NULL_REJECTED = "REJECT Policy rejection due to null sender"
HOST_REJECTED = "REJECT Not authorized"
NULL_SENDER = {"sender": "", "sasl_username": "user@example.org"}


# --- reject_null_sender ---

@pytest.fixture(scope="module")
def small(shared_postern):
    return shared_postern(plugins=["reject_null_sender", "reject_to_hostname"],
                          options={"reject_to_hostname": {"hostname": "mx.example.org"}},
                          mynetworks=["198.51.100.0/24"])


def test_authenticated_null_sender_is_rejected(small):
    assert small.ask(rcpt(**NULL_SENDER)) == NULL_REJECTED


def test_authenticated_null_sender_is_rejected_from_loopback_too(small):
    assert small.ask(rcpt(client_address="127.0.0.1", **NULL_SENDER)) == NULL_REJECTED


@pytest.mark.parametrize("attributes", [
    {"sender": ""}, {"sasl_username": "user@example.org"}, {}],
    ids=["null sender", "authenticated", "neither"])
def test_only_both_together_are_rejected(small, attributes):
    assert small.ask(rcpt(**attributes)) == "DUNNO"


def test_null_sender_is_not_rejected_at_end_of_message(small):
    assert small.ask(end_of_message(**NULL_SENDER)) == "DUNNO"


# --- reject_to_hostname ---

@pytest.mark.parametrize("recipient", ["root@mx.example.org", "ROOT@MX.EXAMPLE.ORG",
                                       "srs2=x@mx.example.org", "srs0@mx.example.org"])
def test_mail_to_the_hostname_is_rejected(small, recipient):
    assert small.ask(rcpt(recipient=recipient)) == HOST_REJECTED


@pytest.mark.parametrize("recipient", [
    "SRS0=abcd=XY=sender.example=alice@mx.example.org", "srs0=a=b=c=d@mx.example.org",
    "SRS1=abcd=host==x=y=z@mx.example.org", "srs1=a=b=c@MX.example.org"])
def test_srs_addresses_of_the_hostname_are_not_rejected(small, recipient):
    assert small.ask(rcpt(recipient=recipient)) == "DUNNO"


@pytest.mark.parametrize("attributes", [
    {"recipient": "root@example.org"}, {"recipient": "root@sub.mx.example.org"},
    {"recipient": "mx.example.org"}, {"sasl_username": "user@example.org"},
    {"client_address": "127.0.0.1"}, {"client_address": "::1"},
    {"client_address": "198.51.100.1"}],
    ids=["domain", "subdomain", "no address", "authenticated", "loopback", "IPv6 loopback",
         "mynetworks"])
def test_other_mail_to_the_hostname_is_not_rejected(small, attributes):
    assert small.ask(rcpt(**{"recipient": "root@mx.example.org", **attributes})) == "DUNNO"


def test_hostname_is_this_hosts_unless_told(postern):
    daemon = postern(plugins=["reject_to_hostname"])
    assert daemon.ask(rcpt(recipient=f"root@{socket.gethostname()}")) == HOST_REJECTED
    assert daemon.ask(rcpt(recipient="root@mx.example.org")) == "DUNNO"


# --- the chain ---

BOTH = {**NULL_SENDER, "recipient": "root@mx.example.org"}


def test_plugin_of_higher_priority_decides(small, postern):
    daemon = postern(plugins=["greylisting", "reject_to_hostname"],
                     options={"reject_to_hostname": {"hostname": "mx.example.org"}})
    assert daemon.ask(rcpt(recipient="root@mx.example.org")) == HOST_REJECTED
    assert daemon.database.count("greylisting_tracking") == 0


def test_priority_of_the_config_overrides_the_plugins_own(postern):
    daemon = postern(plugins=["greylisting", "reject_to_hostname"],
                     options={"reject_to_hostname": {"hostname": "mx.example.org", "priority": 5}})
    assert daemon.ask(rcpt(recipient="root@mx.example.org")) == DEFERRED


@pytest.mark.parametrize("plugins, answer", [(["first", "second"], "REJECT first"),
                                             (["second", "first"], "REJECT second")])
def test_plugins_of_equal_priority_run_in_the_order_of_the_list(postern, folder, source, plugins,
                                                                answer):
    for name in plugins:
        build_plugin(name, plugin_code(name, f'postern_reject(req, "{name}");'), folder,
                     f"-I{source}/include")
    daemon = postern(plugins=plugins, plugin_dir=folder)
    assert daemon.ask(rcpt()) == answer


def test_no_plugins_means_no_opinion(postern):
    assert postern(plugins=[]).ask(rcpt()) == "DUNNO"


def test_shadowed_plugin_counts_and_logs_and_answers_nothing(postern):
    daemon = postern(plugins=["greylisting", "reject_null_sender"],
                     options={"greylisting": {"shadow": True},
                              "reject_null_sender": {"shadow": True}})
    assert daemon.ask(rcpt()) == "DUNNO"
    assert daemon.ask(rcpt(**NULL_SENDER)) == "DUNNO"
    assert daemon.database.count("greylisting_tracking") == 1
    name = "postern_shadow_actions_total"
    daemon.wait_for_metric(1, name, plugin="greylisting", action="defer")
    daemon.wait_for_metric(1, name, plugin="reject_null_sender", action="reject")
    assert daemon.metrics().sum("postern_actions_total", action="defer") == 0
    line, = daemon.wait_for_log("shadow=greylisting")
    assert "action=defer" in line and "Intentional policy rejection" in line


def test_shadowed_plugin_lets_those_behind_it_answer(postern):
    daemon = postern(plugins=["greylisting", "reject_to_hostname"],
                     options={"reject_to_hostname": {"hostname": "mx.example.org",
                                                     "shadow": True}})
    assert daemon.ask(rcpt(recipient="root@mx.example.org")) == DEFERRED


# --- lookups that fail ---

def drop_table(database):
    database.execute("DROP TABLE greylisting_tracking")


def drop_settings(database):
    database.execute("DROP TABLE greylisting")


def replace_by_junk(database):
    database.path.with_name("junk").write_bytes(b"this is no database" * 5000)
    os.replace(database.path.with_name("junk"), database.path)


@pytest.mark.parametrize("on_error, answer", [("dunno", r"DUNNO"), ("defer", r"(DEFER|4\d\d) .*")])
@pytest.mark.parametrize("damage", [drop_table, drop_settings])
def test_failed_lookup_is_answered_with_on_error(postern, damage, on_error, answer):
    daemon = postern(plugins=["greylisting"], on_error=on_error)
    damage(daemon.database)
    with daemon.policy() as client:
        for _ in range(3):
            assert re.fullmatch(answer, client.rcpt())
    name = "postern_db_queries_total"
    assert daemon.metrics().sum(name, database="iredapd", result="failed") >= 3
    lines = daemon.wait_for_log("greylisting", count=3)
    assert any("no such table" in line for line in lines)


def test_failed_lookup_ends_the_chain(postern):
    daemon = postern(plugins=["greylisting", "reject_to_hostname"], on_error="dunno",
                     options={"reject_to_hostname": {"hostname": "mx.example.org",
                                                     "priority": 1}})
    drop_table(daemon.database)
    assert daemon.ask(rcpt(recipient="root@mx.example.org")) == "DUNNO"


def test_failure_of_a_shadowed_plugin_changes_no_answer(postern):
    daemon = postern(plugins=["greylisting"], on_error="defer",
                     options={"greylisting": {"shadow": True}})
    drop_table(daemon.database)
    assert daemon.ask(rcpt()) == "DUNNO"


def test_database_replaced_by_junk_is_a_failure_not_a_crash(postern):
    daemon = postern(plugins=["greylisting"], on_error="defer")
    workers = daemon.workers()
    daemon.ask(rcpt())
    replace_by_junk(daemon.database)
    for _ in range(5):
        assert re.match("DUNNO|DEFER|4", daemon.ask(rcpt()))
    assert daemon.workers() == workers


def test_repaired_database_is_used_again(postern):
    daemon = postern(plugins=["greylisting"], on_error="defer")
    daemon.database.execute("ALTER TABLE greylisting_tracking RENAME TO away")
    assert daemon.ask(rcpt()) != DEFERRED
    daemon.database.execute("ALTER TABLE away RENAME TO greylisting_tracking")
    assert daemon.ask(rcpt()) == DEFERRED


# --- plugins from outside the tree ---

def plugin_code(name, check, more=""):
    return f"""\
#include <postern/plugin.h>

static void check(struct postern_request *req)
{{
    {check}
}}

POSTERN_PLUGIN({name},
    .summary  = "for a test",
    .priority = 50,
    .states   = POSTERN_RCPT,{more}
    .check    = check);
"""


OPTIONS_PLUGIN = """\
#include <postern/plugin.h>

struct options {
    const char *word;
    int64_t limit;
};

static void check(struct postern_request *req)
{
    const struct options *options = postern_options(req);
    postern_reject(req, "%s %lld", options->word, (long long)options->limit);
}

static const struct postern_option table[] = {
    POSTERN_OPTION(STRING, struct options, word, "no", "the first word of the answer"),
    POSTERN_OPTION(DURATION, struct options, limit, "2m", "the second"),
    POSTERN_OPTIONS_END};

POSTERN_PLUGIN(with_options, .states = POSTERN_RCPT, .options_size = sizeof(struct options),
               .options = table, .check = check);
"""

QUERY_PLUGIN = """\
#include <postern/plugin.h>

static const struct postern_statement count = {
    .sql = "SELECT COUNT(*) FROM greylisting WHERE account = ?"};

static void check(struct postern_request *req)
{
    struct postern_rows rows;
    if (postern_query(req, "iredapd", &count, POSTERN_VALUES(postern_text("@.")), &rows) ==
        POSTERN_FOUND)
        postern_reject(req, "%lld rows", (long long)postern_row_integer(&rows, 0, 0));
}

POSTERN_PLUGIN(with_query, .states = POSTERN_RCPT, .check = check);
"""


@pytest.fixture(scope="session")
def installed_headers(build, tmp_path_factory):
    """What `meson install` gives: the flags that pkg-config names."""
    place = tmp_path_factory.mktemp("installed")
    done = subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", place],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pkgconfig = next(place.rglob("postern.pc")).parent
    environment = {**os.environ, "PKG_CONFIG_PATH": str(pkgconfig),
                   "PKG_CONFIG_SYSROOT_DIR": str(place)}
    flags = subprocess.run(["pkg-config", "--cflags", "postern"], env=environment, text=True,
                           capture_output=True, timeout=60, check=True)
    return flags.stdout.split()


@pytest.mark.parametrize("name, code, answer", [
    ("mine", plugin_code("mine", 'postern_reject(req, "from %s", req->sender_domain);'),
     "REJECT from sender.example"),
    ("with_options", OPTIONS_PLUGIN, "REJECT no 120"),
    ("with_query", QUERY_PLUGIN, "REJECT 1 rows")], ids=["small", "options", "query"])
def test_plugin_outside_the_tree_is_built_with_one_line_and_answers(
        postern, folder, installed_headers, name, code, answer):
    build_plugin(name, code, folder, "-Wall", "-Wextra", "-Werror", *installed_headers)
    daemon = postern(plugins=[name], plugin_dir=folder)
    assert daemon.ask(rcpt()) == answer


def test_options_of_a_foreign_plugin_are_read_from_the_config(postern, folder, installed_headers):
    build_plugin("with_options", OPTIONS_PLUGIN, folder, "-std=c11", "-Wall", "-Wextra", "-pedantic",
                 "-Werror", *installed_headers)
    daemon = postern(plugins=["with_options"], plugin_dir=folder,
                     options={"with_options": {"word": "yes", "limit": "1h"}})
    assert daemon.ask(rcpt()) == "REJECT yes 3600"


@pytest.mark.parametrize("check, answer", [
    ('postern_reject(req, "no");', "REJECT no"),
    ('postern_reject(req, "550 5.7.23 %s", "fail");', "550 5.7.23 fail"),
    ('postern_defer(req, "later");', "DEFER later"),
    ('postern_defer(req, "451 4.7.1 later");', "451 4.7.1 later"),
    ('postern_discard(req, "gone");', "DISCARD gone"),
    ('postern_accept(req, "permit_auth_destination");', "permit_auth_destination"),
    ('postern_prepend(req, "X-Test: 1");', "PREPEND X-Test: 1"),
    ('postern_reason(req, "no opinion");', "DUNNO"),
    ("(void)req;", "DUNNO"),
    ('postern_reject(req, "%s", "a\\naction=OK\\n\\n\\tb");', r"REJECT a.action=OK...b")],
    ids=["reject", "reject with code", "defer", "defer with code", "discard", "accept", "prepend",
         "reason", "nothing", "control characters"])
def test_what_a_plugin_says_is_what_postfix_hears(postern, folder, source, check, answer):
    build_plugin("says", plugin_code("says", check), folder, f"-I{source}/include")
    daemon = postern(plugins=["says"], plugin_dir=folder)
    with daemon.policy() as client:
        for _ in range(2):
            heard = client.rcpt()
            assert heard == answer or re.fullmatch(answer, heard)


def test_prepend_does_not_end_the_chain(postern, folder, source):
    for name, check in ("header", 'postern_prepend(req, "X-One: 1");'), \
                       ("verdict", 'if (!req->sender[0]) postern_reject(req, "null");'), \
                       ("more", 'postern_prepend(req, "X-Two: 2");'):
        build_plugin(name, plugin_code(name, check), folder, f"-I{source}/include")
    daemon = postern(plugins=["header", "verdict", "more"], plugin_dir=folder)
    assert daemon.ask(rcpt(sender="")) == "REJECT null"
    assert daemon.ask(rcpt()) == "PREPEND X-One: 1"
    assert any("X-Two: 2" in line for line in daemon.wait_for_log("left out"))


def test_plugin_sees_the_recipients_that_were_let_pass(postern, folder, source):
    code = plugin_code("seen", 'postern_reject(req, "%zu %s", req->recipients_length,'
                               ' req->recipients_length ? req->recipients[0] : "none");')
    build_plugin("seen", code.replace("POSTERN_RCPT", "POSTERN_END_OF_MESSAGE"), folder,
                 f"-I{source}/include")
    daemon = postern(plugins=["seen"], plugin_dir=folder)
    with daemon.policy() as client:
        for name in "abc":
            client.rcpt(recipient=f"{name}@example.org", instance="1")
        assert client.request(end_of_message(instance="1", recipient="")) == \
            "REJECT 3 a@example.org"
        assert client.request(end_of_message(instance="2", recipient="")) == "REJECT 0 none"
        client.rcpt(recipient="d@example.org", instance="3")
        daemon.reload()
        assert client.request(end_of_message(instance="3")) == "REJECT 1 d@example.org"
