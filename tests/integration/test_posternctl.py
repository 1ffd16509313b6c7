"""posternctl as an admin or a script meets it: its output and its exit statuses."""

import fcntl
import grp
import http.server
import json
import os
import pty
import pwd
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

BUILD = Path(os.environ.get("POSTERN_BUILD", "build")).resolve()
POSTERNCTL = BUILD / "src" / "posternctl"
DONE, NOTHING, USAGE, UNREACHABLE = 0, 1, 2, 3


def without_sanitizer_notes(text):
    """A sanitizer says on stderr that it does not know fibers."""
    return "".join(line for line in text.splitlines(keepends=True)
                   if "ASan doesn't fully support makecontext" not in line)


class Site:
    """A configuration and what belongs to it, in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.database = folder / "postern.db"
        self.pid_file = folder / "posternd.pid"
        self.config = folder / "postern.conf"
        self.configure()

    def configure(self, more="", path=None, metrics=""):
        self.config.write_text(textwrap.dedent(f"""\
            user = "{pwd.getpwuid(os.geteuid()).pw_name}"
            group = "{grp.getgrgid(os.getegid()).gr_name}"
            pid_file = "{self.pid_file}"
            plugin_dir = "{BUILD / 'plugins'}"
            metrics {{ listen = "{metrics}" }}
            database "iredapd" {{ driver = "sqlite" path = "{path or self.database}" }}
            """) + more)

    def __call__(self, *arguments, **options):
        run = subprocess.run([POSTERNCTL, "-c", self.config, *arguments], capture_output=True,
                             text=True, timeout=30, **options)
        run.stderr = without_sanitizer_notes(run.stderr)
        return run

    def good(self, *arguments):
        run = self(*arguments)
        assert run.returncode == DONE, run.stderr
        assert run.stderr == ""
        return run.stdout

    def json(self, *arguments):
        return json.loads(self.good("--json", *arguments))

    def sql(self, statement, *values):
        with sqlite3.connect(self.database) as connection:
            return connection.execute(statement, values).fetchall()

    def settings(self):
        return self.sql("SELECT account, sender, priority, sender_priority, active, comment "
                        "FROM greylisting ORDER BY account, sender")

    def track(self, client, sender, recipient, first_seen, passed=0):
        self.sql("INSERT INTO greylisting_tracking (sender, recipient, client_address, "
                 "sender_domain, rcpt_domain, init_time, block_expired, record_expired, "
                 "blocked_count, passed) VALUES (?, ?, ?, '', '', ?, ?, ?, 2, ?)", sender,
                 recipient, client, first_seen, first_seen + 900, first_seen + 86400, passed)


@pytest.fixture
def new_site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
def site(new_site):
    new_site.good("db", "init", "--empty")
    return new_site


def rows(output):
    """What a table holds, by its titles."""
    titles, *lines = [line.split("\t") for line in output.splitlines()]
    return [dict(zip(titles, line)) for line in lines]


# --- the frame ---


@pytest.mark.parametrize("arguments, meant", [
    (["greylits", "list"], "did you mean `greylist`"),
    (["greylist", "enabel"], "did you mean `enable`"),
    (["greylist", "whitelist", "ad"], "did you mean `add`"),
    (["greylist", "enable", "--form", "@."], "did you mean --from"),
    (["--jsn", "db", "status"], "did you mean --json"),
    (["greylist", "list", "-x"], "unknown option -x"),
    (["greylist", "list", "extra"], "`extra` is too much"),
    (["greylist", "enable", "--from"], "--from needs a value"),
    (["db", "init", "--empty=yes"], "--empty takes no value"),
    (["greylist", "enable", "--to", "@.", "--to", "@."], "--to is given twice"),
    (["greylist", "whitelist", "add"], "--from SENDER is missing"),
    (["greylist"], "a verb is missing"),
    (["greylist", "whitelist"], "a verb is missing"),
    ([], "a command is missing"),
])
def test_wrong_usage_says_what_was_meant_and_shows_the_usage(new_site, arguments, meant):
    run = new_site(*arguments)
    assert run.returncode == USAGE
    assert meant in run.stderr
    assert "posternctl " in run.stderr.partition("\n\n")[2]
    assert run.stdout == ""


def test_wrong_timeout_is_refused(site):
    run = site("--timeout", "soon", "greylist", "list")
    assert run.returncode == USAGE
    assert "`soon`" in run.stderr


def test_options_may_come_before_between_and_after_the_words(site):
    site.good("--from", "a@b.example", "greylist", "--to=@c.example", "enable", "--comment=why")
    assert site.settings() == [("@c.example", "a@b.example", 60, 100, 1, "why")]


def test_values_of_an_option_of_several_end_at_the_next_option(site):
    site.good("rdns", "add", "--whitelist", "a.example", "b.example", "--blacklist=c.example",
              "--whitelist", "d.example")
    assert [row["list"][0] for row in site.json("rdns", "list")] == ["w", "w", "b", "w"]
    site.good("rdns", "--blacklist", "a.example", "--", "add")
    run = site("rdns", "add", "--blacklist=a.example", "b.example")
    assert run.returncode == USAGE
    assert "`b.example` is too much" in run.stderr


def test_two_dashes_end_the_options(site):
    run = site("greylist", "list", "--", "--from")
    assert run.returncode == USAGE
    assert "`--from` is too much" in run.stderr


def test_version_is_printed():
    run = subprocess.run([POSTERNCTL, "-V"], capture_output=True, text=True)
    assert run.returncode == DONE
    assert run.stdout.startswith("posternctl ")


@pytest.mark.parametrize("arguments", [
    ["--help"], ["help"], ["-h"],
    ["greylist", "--help"], ["help", "greylist"], ["-h", "greylist"],
    ["greylist", "enable", "--help"], ["help", "greylist", "enable"],
    ["greylist", "enable", "--from", "x", "-h"],
])
def test_help_is_there_at_all_levels(arguments):
    run = subprocess.run([POSTERNCTL, *arguments], capture_output=True, text=True)
    assert run.returncode == DONE
    assert without_sanitizer_notes(run.stderr) == ""
    assert "greylist enable" in run.stdout
    assert ("db init" in run.stdout) == ("greylist" not in arguments)
    assert ("greylist list" in run.stdout) == ("enable" not in arguments)


def test_help_on_half_a_verb_shows_the_commands_of_that_half():
    run = subprocess.run([POSTERNCTL, "help", "greylist", "whitelist"], capture_output=True,
                         text=True)
    assert run.returncode == DONE
    assert "greylist whitelist add" in run.stdout
    assert "greylist enable" not in run.stdout


def test_help_on_what_is_not_there_is_wrong_usage():
    for arguments in (["help", "greylst"], ["greylst", "--help"], ["help", "greylist", "enabl"]):
        run = subprocess.run([POSTERNCTL, *arguments], capture_output=True, text=True)
        assert run.returncode == USAGE
        assert "did you mean" in run.stderr


def test_help_in_json_is_a_document(new_site):
    usages = [command["usage"] for command in new_site.json("help", "greylist", "tracking")]
    assert len(usages) == 2
    assert usages[0].startswith("posternctl greylist tracking list [--client IP]")


def test_completion_lists_every_command_with_its_options(new_site):
    lines = new_site.good("help", "--complete").splitlines()
    assert "greylist whitelist add --from= --to= --comment=" in lines
    assert "db init --empty" in lines
    assert "--json" in lines


def complete(*words):
    script = ('COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); . "$COMPLETION"; '
              '_posternctl posternctl "${@: -1}" "${@: -2:1}"; printf "%s\\n" "${COMPREPLY[@]}"')
    completion = Path(__file__).parents[2] / "etc" / "posternctl.bash-completion"
    run = subprocess.run(["bash", "-c", script, "bash", str(POSTERNCTL), *words], text=True,
                         capture_output=True, env=dict(os.environ, COMPLETION=str(completion)))
    assert without_sanitizer_notes(run.stderr) == ""
    return run.stdout.split()


def test_shell_completes_nouns_verbs_and_options():
    assert complete("gr") == ["greylist"]
    assert complete("greylist", "whitelist", "") == ["add", "delete", "list"]
    assert complete("-c", "x", "db", "st") == ["status"]
    assert complete("greylist", "enable", "--co") == ["--comment", "--config"]
    assert complete("greylist", "enable", "--from", "") == []
    assert complete("throttle", "set", "@.", "--kind", "in") == ["inbound"]
    assert complete("wblist", "add", "--whitelist", "a@b.example", "--b") == ["--blacklist"]


def test_output_that_cannot_be_written_is_an_error(site):
    with open("/dev/full", "w") as full:
        run = subprocess.run([POSTERNCTL, "-c", site.config, "greylist", "list"], stdout=full,
                             stderr=subprocess.PIPE, text=True)
    assert run.returncode == UNREACHABLE
    assert "cannot write" in run.stderr


# --- tables ---


def on_terminal(site, *arguments):
    master, slave = pty.openpty()
    subprocess.run([POSTERNCTL, "-c", site.config, *arguments], stdout=slave, check=True)
    os.close(slave)
    with os.fdopen(master, "rb") as terminal:
        return terminal.read1(65536).decode().replace("\r\n", "\n")


def test_tables_are_aligned_on_a_terminal_and_tabbed_elsewhere(site):
    site.good("greylist", "enable", "--to", "@example.com", "--comment", "grün")
    site.good("greylist", "enable", "--to", "user@sub.example.com", "--comment", "x")
    lines = on_terminal(site, "greylist", "list").splitlines()
    assert "\t" not in "".join(lines)
    column = lines[0].index("SENDER")
    assert [line[column:column + 2] for line in lines[1:]] == ["@.", "@."]
    assert [line.split("\t")[1] for line in site.good("greylist", "list").splitlines()[1:]] == \
        ["@.", "@."]


def test_control_characters_of_a_comment_are_escaped(site):
    comment = "a\x1b[2Jb\nc\td\x9be\\"
    site.good("greylist", "enable", "--comment", comment)
    table = site.good("greylist", "list")
    assert len(table.splitlines()) == 2
    assert rows(table)[0]["COMMENT"] == r"a\x1b[2Jb\nc\td\xc2\x9be\\"
    assert site.json("greylist", "list")[0]["comment"] == comment


def test_control_characters_of_an_argument_are_escaped_in_errors(site):
    run = site("greylist", "enable", "--from", "\x1b[2J")
    assert run.returncode == USAGE
    assert "\x1b" not in run.stderr


def test_bytes_that_are_not_text_do_not_break_the_output(site):
    site.sql("INSERT INTO greylisting (account, sender, comment) "
             "VALUES ('@.', '@.', CAST(x'ff80' AS TEXT))")
    assert rows(site.good("greylist", "list"))[0]["COMMENT"] == r"\xff\x80"
    assert site.json("greylist", "list")[0]["comment"] == "\ufffd\ufffd"


# --- config ---


def test_good_config_passes_the_check(new_site):
    assert "is good" in new_site.good("config", "check")
    assert new_site.json("config", "check")["changed"] == 0


def test_bad_config_is_refused_with_file_and_line(new_site):
    new_site.configure(more='nonsense = 1\nworkers = "x"\n')
    run = new_site("config", "check")
    assert run.returncode == NOTHING
    assert f"{new_site.config}:7" in run.stderr
    assert "nonsense" in run.stderr
    assert new_site("greylist", "list").returncode == UNREACHABLE


def test_missing_config_is_out_of_reach(new_site):
    new_site.config.unlink()
    for words in (["config", "check"], ["greylist", "list"], ["status"]):
        run = new_site(*words)
        assert run.returncode == UNREACHABLE
        assert "No such file" in run.stderr
        assert "-c FILE" in run.stderr


def test_config_may_not_be_a_folder(tmp_path):
    run = subprocess.run([POSTERNCTL, "-c", tmp_path, "status"], capture_output=True, text=True)
    assert run.returncode == UNREACHABLE
    assert str(tmp_path) in run.stderr


# --- db ---


def test_init_makes_the_database_and_greylists_everybody(new_site):
    assert "greylisting is on" in new_site.good("db", "init")
    assert new_site.settings() == [("@.", "@.", 0, 0, 1, "")]


def test_init_empty_greylists_nobody(new_site):
    new_site.good("db", "init", "--empty")
    assert new_site.settings() == []


def test_init_is_safe_to_run_twice(new_site):
    new_site.good("db", "init")
    new_site.good("greylist", "delete")
    new_site.good("greylist", "enable", "--to", "@example.com")
    assert "already" in new_site.good("db", "init")
    assert new_site.json("db", "init")["changed"] == 0
    assert [row[0] for row in new_site.settings()] == ["@example.com"]


def test_two_inits_at_once_make_one_database(new_site):
    command = [POSTERNCTL, "-c", new_site.config, "db", "init"]
    runs = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [run.wait(30) for run in runs] == [DONE] * 4
    assert new_site.settings() == [("@.", "@.", 0, 0, 1, "")]


def test_init_where_nothing_can_be_made_says_so(new_site):
    new_site.configure(path="/proc/none/postern.db")
    run = new_site("db", "init")
    assert run.returncode == UNREACHABLE
    assert "/proc/none" in run.stderr


def test_init_of_a_file_that_is_no_database_changes_nothing(new_site):
    new_site.database.write_text("letters and other papers\n" * 100)
    before = new_site.database.read_text()
    assert new_site("db", "init").returncode == UNREACHABLE
    assert new_site.database.read_text() == before


def test_status_of_a_missing_database_asks_for_init(new_site):
    run = new_site("db", "status")
    assert run.returncode == NOTHING
    assert [row["STATE"] for row in rows(run.stdout)] == ["empty"] * 3
    assert "posternctl db init" in run.stdout
    assert not new_site.database.exists()


def test_status_of_a_ready_database_names_driver_place_and_version(site):
    names = {row["database"]: row for row in site.json("db", "status")}
    assert set(names) == {"iredapd", "vmail", "amavisd"}
    iredapd = names["iredapd"]
    assert (iredapd["driver"], iredapd["location"]) == ("sqlite", str(site.database))
    assert iredapd["state"] == "ready"
    assert iredapd["version"] == iredapd["newest"] > 0
    assert iredapd["advice"] is None


def test_status_of_an_unusable_database_is_unreachable(new_site):
    new_site.configure(path="/dev/null/postern.db")
    run = new_site("--json", "db", "status")
    assert run.returncode == UNREACHABLE
    assert json.loads(run.stdout)[0]["state"] == "unusable"


def make_old(site):
    site.sql("DELETE FROM postern_schema")


def test_migrate_brings_an_old_database_up_to_date(site):
    make_old(site)
    run = site("db", "status")
    assert run.returncode == NOTHING
    assert "posternctl db migrate" in run.stdout
    assert site.json("greylist", "list") == []
    assert site.json("db", "migrate")["changed"] > 0
    assert site.good("db", "status")
    assert site.json("db", "migrate")["changed"] == 0


def test_init_leaves_an_old_database_to_migrate(site):
    make_old(site)
    assert "posternctl db migrate" in site.good("db", "init")
    assert site("db", "status").returncode == NOTHING


def test_migrate_of_a_missing_database_asks_for_init(new_site):
    run = new_site("db", "migrate")
    assert run.returncode == NOTHING
    assert "posternctl db init" in run.stderr


def test_database_of_a_newer_version_is_left_alone(site):
    site.sql("INSERT INTO postern_schema VALUES ('iredapd', 900, 0)")
    assert site("db", "status").returncode == NOTHING
    assert site("db", "migrate").returncode == NOTHING
    assert site("db", "init").returncode == NOTHING
    assert site("greylist", "list").returncode == UNREACHABLE


def test_commands_without_a_database_ask_for_init(new_site):
    for words in (["greylist", "list"], ["greylist", "enable"], ["greylist", "tracking", "list"]):
        run = new_site(*words)
        assert run.returncode == UNREACHABLE
        assert "posternctl db init" in run.stderr


def test_database_that_another_holds_is_given_up_in_time(site):
    holder = sqlite3.connect(site.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    run = site("--timeout", "1s", "greylist", "enable")
    assert run.returncode == UNREACHABLE
    assert time.monotonic() - started < 5
    holder.execute("ROLLBACK")
    holder.close()
    assert site.settings() == []


# --- greylist settings ---


@pytest.mark.parametrize("written, stored, priority", [
    ("User@Example.COM", "user@example.com", 100),
    ("user@*", "user@*", 90),
    ("192.0.2.1", "192.0.2.1", 80),
    ("2001:DB8:0:0::1", "2001:db8::1", 80),
    ("::ffff:192.0.2.1", "192.0.2.1", 80),
    ("192.0.2.1/32", "192.0.2.1", 80),
    ("192.0.2.*", "192.0.2.*", 70),
    ("192.0.2.77/24", "192.0.2.0/24", 70),
    ("2001:DB8:ffff::1/32", "2001:db8::/32", 70),
    ("@Example.com", "@example.com", 60),
    ("@.example.com", "@.example.com", 50),
    ("@.com", "@.com", 40),
    ("@.", "@.", 0),
])
def test_senders_are_stored_in_canonical_form_with_their_priority(site, written, stored, priority):
    site.good("greylist", "enable", "--from", written)
    assert site.settings() == [("@.", stored, 0, priority, 1, "")]


@pytest.mark.parametrize("option, value", [
    ("--from", "example.com"), ("--from", "@ip"), ("--from", "192.0.2.300"), ("--from", ""),
    ("--from", "192.0.2.0/33"), ("--from", "a b@example.com"), ("--from", "'; DROP TABLE x; --"),
    ("--to", "192.0.2.1"), ("--to", "192.0.2.0/24"), ("--to", "user"), ("--to", "user@*"),
])
def test_other_forms_are_refused_with_those_that_are_allowed(site, option, value):
    for words in (["greylist", "enable"], ["greylist", "disable"], ["greylist", "delete"],
                  ["greylist", "list"], ["greylist", "whitelist", "list"]):
        run = site(*words, option, value)
        assert run.returncode == USAGE
        assert option in run.stderr and "@.example.com" in run.stderr
        assert ("192.0.2.0/24 or" in run.stderr) == (option == "--from")
        assert run.stdout == ""
    assert site.settings() == []


def test_disable_changes_a_setting_and_keeps_its_comment(site):
    site.good("greylist", "enable", "--to", "a@b.example", "--comment", "boss's wish")
    site.good("greylist", "disable", "--to", "a@b.example")
    assert site.settings() == [("a@b.example", "@.", 100, 0, 0, "boss's wish")]
    site.good("greylist", "enable", "--to", "a@b.example", "--comment", "")
    assert site.settings() == [("a@b.example", "@.", 100, 0, 1, "")]


def test_list_is_in_the_order_in_which_settings_decide(site):
    for route in (["--from", "@x.example"], [], ["--to", "u@a.example"],
                  ["--to", "u@a.example", "--from", "192.0.2.1"]):
        site.good("greylist", "enable", *route)
    listed = [(row["account"], row["sender"]) for row in site.json("greylist", "list")]
    assert listed == [("u@a.example", "192.0.2.1"), ("u@a.example", "@."), ("@.", "@x.example"),
                      ("@.", "@.")]


def test_list_shows_what_is_asked_for(site):
    site.good("greylist", "enable", "--from", "a@b.example")
    site.good("greylist", "disable", "--to", "c@d.example")
    assert [row["SENDER"] for row in rows(site.good("greylist", "list"))] == ["@.", "a@b.example"]
    only = site.json("greylist", "list", "--from", "A@b.example")
    assert only == [{"account": "@.", "sender": "a@b.example", "active": True, "priority": 0,
                     "sender_priority": 100, "comment": ""}]
    assert site.json("greylist", "list", "--to", "c@d.example")[0]["active"] is False


def test_list_without_a_match_exits_1_and_an_empty_list_0(site):
    assert site.json("greylist", "list") == []
    run = site("--json", "greylist", "list", "--to", "@example.com")
    assert run.returncode == NOTHING
    assert json.loads(run.stdout) == []


def test_delete_removes_a_setting_once(site):
    site.good("greylist", "enable", "--from", "@x.example")
    assert site.json("greylist", "delete", "--from", "@X.example")["changed"] == 1
    run = site("greylist", "delete", "--from", "@x.example")
    assert run.returncode == NOTHING
    assert "greylist list" in run.stderr
    assert run.stdout == ""
    run = site("--json", "greylist", "delete", "--from", "@x.example")
    assert (run.returncode, json.loads(run.stdout)["changed"]) == (NOTHING, 0)


def test_delete_removes_a_row_of_a_form_that_is_not_allowed_any_more(site):
    site.sql("INSERT INTO greylisting (account, sender) VALUES ('@.', 'old form')")
    site.good("greylist", "delete", "--from", "old form")
    assert site.settings() == []


# --- greylist whitelist ---


def test_whitelist_entries_are_added_listed_and_deleted(site):
    site.good("greylist", "whitelist", "add", "--from", "192.0.2.9/24", "--comment", "partner")
    site.good("greylist", "whitelist", "add", "--from", "192.0.2.0/24")
    assert site.json("greylist", "whitelist", "list") == [
        {"account": "@.", "sender": "192.0.2.0/24", "origin": "admin", "comment": "partner"}]
    assert rows(site.good("greylist", "whitelist", "list", "--from", "192.0.2.0/24"))
    site.good("greylist", "whitelist", "delete", "--from", "192.0.2.0/24")
    assert site("greylist", "whitelist", "delete", "--from", "192.0.2.0/24").returncode == NOTHING
    assert site.json("greylist", "whitelist", "list") == []


def test_whitelist_shows_where_entries_come_from(site):
    site.sql("INSERT INTO greylisting_whitelists (account, sender, comment) "
             "VALUES ('u@a.example', 'x@y.example', 'AUTO-WHITELISTED')")
    site.sql("INSERT INTO greylisting_whitelist_domain_spf (account, sender, comment) "
             "VALUES ('@.', '198.51.100.0/24', 'AUTO-UPDATE: z.example')")
    assert {row["sender"]: row["origin"] for row in site.json("greylist", "whitelist", "list")} \
        == {"x@y.example": "outbound", "198.51.100.0/24": "domain"}
    run = site("greylist", "whitelist", "delete", "--from", "198.51.100.0/24")
    assert run.returncode == NOTHING
    assert "origin `domain`" in run.stderr


def test_whitelist_refuses_forms_that_are_not_allowed(site):
    for verb in ("add", "delete"):
        assert site("greylist", "whitelist", verb, "--from", "nobody").returncode == USAGE


# --- greylist tracking ---


@pytest.fixture
def tracked(site):
    site.track("192.0.2.1", "a@x.example", "u@a.example", 1700000000, passed=1)
    site.track("192.0.2.1", "", "u@a.example", 1700000100)
    site.track("2001:db8::1", "b@x.example", "v@a.example", 1700000200)
    return site


def test_tracking_is_listed_newest_first(tracked):
    listed = tracked.json("greylist", "tracking", "list")
    assert [row["init_time"] for row in listed] == [1700000200, 1700000100, 1700000000]
    assert listed[2] == {"client_address": "192.0.2.1", "sender": "a@x.example",
                         "recipient": "u@a.example", "init_time": 1700000000,
                         "block_expired": 1700000900, "record_expired": 1700086400,
                         "blocked_count": 2, "passed": True}


def test_tracking_shows_local_time_in_tables(tracked):
    run = tracked("greylist", "tracking", "list", "--sender", "a@x.example",
                  env=dict(os.environ, TZ="UTC"))
    assert rows(run.stdout)[0]["FIRST SEEN"] == "2023-11-14 22:13:20"
    assert rows(run.stdout)[0]["PASSED"] == "yes"


@pytest.mark.parametrize("filters, count", [
    (["--client", "192.0.2.1"], 2),
    (["--client", "2001:DB8:0::1"], 1),
    (["--sender", "A@x.example"], 1),
    (["--sender", ""], 1),
    (["--recipient", "u@a.example"], 2),
    (["--recipient", "u@a.example", "--sender", "b@x.example"], 0),
])
def test_tracking_is_filtered_and_forgotten_alike(tracked, filters, count):
    status = DONE if count else NOTHING
    run = tracked("--json", "greylist", "tracking", "list", *filters)
    assert (run.returncode, len(json.loads(run.stdout))) == (status, count)
    run = tracked("--json", "greylist", "tracking", "forget", *filters)
    assert (run.returncode, json.loads(run.stdout)["changed"]) == (status, count)
    assert tracked.sql("SELECT COUNT(*) FROM greylisting_tracking") == [(3 - count,)]


def test_tracking_list_stops_at_its_limit_and_says_so(tracked):
    run = tracked("greylist", "tracking", "list", "--limit", "2")
    assert run.returncode == DONE
    assert len(rows(run.stdout)) == 2
    assert "more than 2" in run.stderr
    assert tracked("greylist", "tracking", "list", "--limit", "3").stderr == ""


def test_tracking_list_has_a_limit_of_100(site):
    for number in range(101):
        site.track("192.0.2.1", f"s{number}@x.example", "u@a.example", 1700000000 + number)
    run = site("--json", "greylist", "tracking", "list")
    assert len(json.loads(run.stdout)) == 100


@pytest.mark.parametrize("limit", ["0", "-1", "many", ""])
def test_tracking_limit_must_be_a_positive_number(site, limit):
    assert site("greylist", "tracking", "list", "--limit", limit).returncode == USAGE


def test_tracking_client_must_be_an_address(site):
    for verb in ("list", "forget"):
        assert site("greylist", "tracking", verb, "--client", "mx.example").returncode == USAGE


def test_forgetting_everything_must_be_meant(tracked):
    run = tracked("greylist", "tracking", "forget")
    assert run.returncode == NOTHING
    assert "--all" in run.stderr
    assert tracked("greylist", "tracking", "forget", "--all", "--sender", "x").returncode == USAGE
    assert tracked.sql("SELECT COUNT(*) FROM greylisting_tracking") == [(3,)]
    assert tracked.json("greylist", "tracking", "forget", "--all")["changed"] == 3
    assert tracked.json("greylist", "tracking", "forget", "--all")["changed"] == 0


# --- plugins ---

PLUGINS = """
plugins = {"greylisting", "reject_null_sender"}
plugin "greylisting" { block_expire = "20m" shadow = true }
"""


def test_plugins_are_listed_in_the_order_of_the_chain(new_site):
    new_site.configure(more=PLUGINS)
    listed = new_site.json("plugin", "list")
    assert [plugin["name"] for plugin in listed] == ["reject_null_sender", "greylisting"]
    assert [plugin["priority"] for plugin in listed] == [100, 80]
    assert [plugin["shadow"] for plugin in listed] == [False, True]
    assert listed[0]["states"] == ["RCPT"]
    assert listed[0]["summary"]


def test_plugin_options_show_value_default_and_help(new_site):
    new_site.configure(more=PLUGINS)
    options = {option["name"]: option for option in new_site.json("plugin", "list")[1]["options"]}
    assert options["block_expire"]["type"] == "duration"
    assert options["block_expire"]["value"] == "20m"
    assert options["block_expire"]["default"] == "15m"
    assert options["block_expire"]["help"]
    text = new_site.good("plugin", "list")
    assert "greylisting  priority 80  RCPT  shadow" in text
    line = next(line for line in text.splitlines() if "block_expire" in line)
    assert line.startswith("      block_expire") and "= 20m" in line and "default 15m" in line


def test_plugin_priority_of_the_config_is_shown(new_site):
    new_site.configure(more='plugins = {"greylisting", "reject_null_sender"}\n'
                            'plugin "greylisting" { priority = 101 }\n')
    assert new_site.json("plugin", "list")[0]["name"] == "greylisting"


def test_plugin_that_is_missing_is_an_error(new_site):
    new_site.configure(more='plugins = {"nonesuch"}\n')
    assert new_site("plugin", "list").returncode == UNREACHABLE
    assert "nonesuch" in new_site("config", "check").stderr


# --- the daemon ---

DAEMON = """
import fcntl, os, signal, sys
path, marks = sys.argv[1:]
def mark(number, frame):
    with open(marks, "a") as file:
        file.write(signal.Signals(number).name + "\\n")
    if number == signal.SIGTERM:
        sys.exit(0)
signal.signal(signal.SIGHUP, mark)
signal.signal(signal.SIGTERM, mark)
file = open(path, "w")
fcntl.flock(file, fcntl.LOCK_EX)
file.write(f"{os.getpid()}\\n")
file.flush()
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def daemon(new_site):
    """What posternctl sees of posternd: its locked pid_file, and what it does on signals."""
    marks = new_site.folder / "marks"
    marks.touch()
    process = subprocess.Popen([sys.executable, "-c", DAEMON, new_site.pid_file, marks],
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    reaper = threading.Thread(target=process.wait)
    reaper.start()
    process.marks = marks
    yield process
    process.kill()
    reaper.join()
    process.stdout.close()


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_status_of_a_running_daemon(new_site, daemon):
    status = new_site.json("status")
    assert (status["running"], status["pid"]) == (True, daemon.pid)
    assert 0 <= status["uptime"] < 60
    assert status["workers"] is None
    assert f"process: {daemon.pid}\n" in new_site.good("status")


METRICS = b"""# HELP postern_workers Worker processes.
postern_workers 2
postern_connections 7
postern_requests_total{state="RCPT"} 40
postern_requests_total{state="END-OF-MESSAGE"} 2
postern_requests_totally 1000
"""


class Endpoint(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(METRICS)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def endpoint():
    with http.server.HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


def test_status_reads_the_metrics_endpoint(new_site, daemon, endpoint):
    new_site.configure(metrics=endpoint)
    status = new_site.json("status")
    assert (status["workers"], status["connections"], status["requests"]) == (2, 7, 42)


def test_status_without_its_metrics_endpoint_still_tells_the_process(new_site, daemon):
    with http.server.HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        free = server.server_port
    new_site.configure(metrics=f"127.0.0.1:{free}")
    run = new_site("status")
    assert run.returncode == DONE
    assert str(daemon.pid) in run.stdout
    assert "does not answer" in run.stderr


@pytest.mark.parametrize("words", [["status"], ["reload"], ["stop"]])
def test_daemon_that_does_not_run_is_out_of_reach(new_site, words):
    run = new_site(*words)
    assert run.returncode == UNREACHABLE
    assert "not running" in run.stderr


def test_pid_file_that_a_crash_has_left_is_nobody(new_site):
    stranger = subprocess.Popen(["sleep", "60"])
    new_site.pid_file.write_text(f"{stranger.pid}\n")
    for words in (["status"], ["reload"], ["stop"]):
        assert new_site(*words).returncode == UNREACHABLE
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


@pytest.mark.parametrize("content", ["", "garbage", "-1", "0", "1", "99999999999999999999"])
def test_pid_file_with_nonsense_is_nobody(new_site, content):
    new_site.pid_file.write_text(content)
    with open(new_site.pid_file) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert new_site("stop").returncode == UNREACHABLE


def test_status_in_json_says_that_the_daemon_does_not_run(new_site):
    run = new_site("--json", "status")
    assert run.returncode == UNREACHABLE
    assert json.loads(run.stdout)["running"] is False


def test_reload_tells_the_daemon(new_site, daemon):
    assert "reads" in new_site.good("reload")
    wait_until(lambda: daemon.marks.read_text() == "SIGHUP\n")


def test_reload_with_a_bad_config_leaves_the_daemon_alone(new_site, daemon):
    new_site.configure(more="nonsense = 1\n")
    run = new_site("reload")
    assert run.returncode == UNREACHABLE
    assert "nonsense" in run.stderr
    assert daemon.marks.read_text() == ""


def test_stop_waits_until_the_daemon_has_ended(new_site, daemon):
    assert "has stopped" in new_site.good("stop")
    assert daemon.marks.read_text() == "SIGTERM\n"
    assert new_site("status").returncode == UNREACHABLE


def test_stop_of_a_daemon_that_does_not_end_gives_up(new_site, daemon):
    new_site.configure(more='drain_timeout = "1s"\n')
    os.kill(daemon.pid, signal.SIGSTOP)
    run = new_site("--timeout", "1s", "stop")
    os.kill(daemon.pid, signal.SIGCONT)
    assert run.returncode == UNREACHABLE
    assert "still runs" in run.stderr
