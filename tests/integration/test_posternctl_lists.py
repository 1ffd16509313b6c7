"""posternctl wblist, rdns and greylist whitelist, on every database."""
import concurrent.futures
import contextlib
import json
import os
import pty
import subprocess

import pytest

from harness.ctl import NOTHING, UNREACHABLE, Ctl
from harness.database import SqliteBackend


@pytest.fixture
def ctl(build, folder, databases):
    return Ctl(build, folder, databases)


def readable(cell):
    """An `email`, which is bytes in PostgreSQL."""
    if isinstance(cell, str) and cell.startswith("\\x"):
        return bytes.fromhex(cell[2:]).decode()
    return cell


def amavisd(ctl, sql, *values):
    return [tuple(map(readable, row)) for row in ctl.database.amavisd.query(sql, *values)]


def inbound(ctl):
    """(account, address, wb)"""
    return sorted(amavisd(ctl, "SELECT users.email, mailaddr.email, wb FROM wblist "
                               "JOIN users ON users.id = rid JOIN mailaddr ON mailaddr.id = sid"))


def outbound(ctl):
    return sorted(amavisd(ctl, "SELECT users.email, mailaddr.email, wb FROM outbound_wblist "
                               "JOIN users ON users.id = sid JOIN mailaddr ON mailaddr.id = rid"))


def names(ctl):
    return ctl.database.query("SELECT rdns, wb FROM wblist_rdns ORDER BY rdns")


def whitelist(ctl):
    return ctl.database.query("SELECT account, sender, comment FROM greylisting_whitelists "
                              "ORDER BY account, sender")


# --- wblist ---


def test_wblist_is_of_everybody_unless_an_account_is_given(ctl):
    ctl.good("wblist", "add", "--whitelist", "a@b.example", "--blacklist", "@c.example")
    ctl.good("wblist", "add", "--account", "User@Example.com", "--blacklist", "a@b.example")
    assert inbound(ctl) == [("@.", "@c.example", "B"), ("@.", "a@b.example", "W"),
                            ("user@example.com", "a@b.example", "B")]
    assert outbound(ctl) == []


def test_wblist_of_both_directions_are_apart(ctl):
    ctl.good("wblist", "add", "--outbound", "--account", "@example.com", "--blacklist",
             "a@b.example", "--whitelist", "sales@*")
    assert inbound(ctl) == []
    assert outbound(ctl) == [("@example.com", "a@b.example", "B"),
                             ("@example.com", "sales@*", "W")]
    assert ctl("wblist", "delete", "--account", "@example.com", "--blacklist",
               "a@b.example").returncode == NOTHING
    ctl.good("wblist", "delete", "--outbound", "--account", "@example.com", "--blacklist",
             "a@b.example", "--whitelist", "sales@*")
    assert outbound(ctl) == []


@pytest.mark.parametrize("address, stored, priority", [
    ("A@B.Example", "a@b.example", 10), ("2001:DB8::0:1", "2001:db8::1", 9),
    ("192.0.2.*", "192.0.2.*", 8), ("192.0.*.7", "192.0.*.7", 8),
    ("192.0.2.77/24", "192.0.2.0/24", 7), ("2001:db8::1/32", "2001:db8::/32", 7),
    ("sales@*", "sales@*", 7), ("@b.example", "@b.example", 5), ("@.b.example", "@.b.example", 3),
    ("@.example", "@.example", 2), ("@.", "@.", 0),
    ('"a\\"b\'c"@d.example', '"a\\"b\'c"@d.example', 10), ("jörg@b.example", "jörg@b.example", 10)])
def test_address_in_a_wblist_is_stored_with_the_priority_of_its_form(ctl, address, stored,
                                                                     priority):
    ctl.good("wblist", "add", "--whitelist", address)
    assert [row["address"] for row in ctl.json("wblist", "list")] == [stored]
    assert amavisd(ctl, "SELECT priority FROM mailaddr") == [(priority,)]
    ctl.good("wblist", "delete", "--whitelist", address)
    assert inbound(ctl) == []


@pytest.mark.parametrize("account, priority", [
    ("User@Example.com", 10), ("@example.com", 5), ("@.example.com", 3), ("@.com", 2), ("@.", 0)])
def test_account_of_a_wblist_has_the_priority_of_its_form_and_no_policy(ctl, account, priority):
    ctl.good("wblist", "add", "--account", account, "--whitelist", "a@b.example")
    assert amavisd(ctl, "SELECT email, priority, policy_id FROM users") == [
        (account.lower(), priority, 0)]


def test_adding_twice_is_adding_once_and_the_last_list_counts(ctl):
    for option in ("--whitelist", "--whitelist", "--blacklist"):
        ctl.good("wblist", "add", option, "a@b.example")
    assert inbound(ctl) == [("@.", "a@b.example", "B")]
    assert len(amavisd(ctl, "SELECT id FROM users")) == 1
    assert len(amavisd(ctl, "SELECT id FROM mailaddr")) == 1


def test_addresses_that_others_have_made_keep_what_they_have(ctl):
    email = b"a@b.example" if ctl.database.section()["driver"] == "pgsql" else "a@b.example"
    ctl.database.amavisd.execute("INSERT INTO mailaddr (priority, email) VALUES (?, ?)", 77, email)
    ctl.database.amavisd.execute(
        "INSERT INTO users (priority, policy_id, email) VALUES (?, ?, ?)", 88, 5, email)
    ctl.good("wblist", "add", "--account", "a@b.example", "--blacklist", "a@b.example")
    assert inbound(ctl) == [("a@b.example", "a@b.example", "B")]
    assert amavisd(ctl, "SELECT priority FROM mailaddr") == [(77,)]
    assert amavisd(ctl, "SELECT priority, policy_id FROM users") == [(88, 5)]


def test_two_that_add_the_same_at_once_do_not_disturb_each_other(ctl):
    lines = [f"a{number}@b.example" for number in range(3000)]

    def add(turn):
        return ctl.good("wblist", "add", "--account", "@example.com", "--blacklist", "-",
                        lines=lines if turn % 2 else lines[::-1])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert len(inbound(ctl)) == 3000
    assert len(amavisd(ctl, "SELECT id FROM users")) == 1


@pytest.mark.parametrize("arguments, said", [
    (["--whitelist"], "--whitelist needs a value"),
    (["--whitelist", "nonsense"], "--whitelist: `nonsense` has none of the forms"),
    (["--whitelist", "192.0.2.1/33"], "`192.0.2.1/33`"),
    (["--blacklist", "@ip"], "`@ip`"),
    (["--whitelist", "a@b.example", "--blacklist", "A@b.example"], "given for both lists"),
    (["--outbound", "--whitelist", "192.0.2.1"], "`192.0.2.1`"),
    (["--account", "192.0.2.1", "--whitelist", "a@b.example"], "--account: `192.0.2.1`"),
    (["--whitelist", "-", "--blacklist", "-"], "only once"),
])
def test_wrong_wblist_is_refused(ctl, arguments, said):
    assert said in ctl.refused("wblist", "add", "--blacklist=good@b.example", *arguments)
    assert inbound(ctl) == []
    assert amavisd(ctl, "SELECT email FROM mailaddr") == []


@pytest.mark.parametrize("words", [["wblist", "add"], ["wblist", "delete"], ["rdns", "add"],
                                   ["rdns", "delete"]])
def test_a_list_must_be_named(ctl, words):
    assert "--whitelist or --blacklist" in ctl.refused(*words)


def test_list_of_a_wblist_can_be_narrowed(ctl):
    ctl.good("wblist", "add", "--whitelist", "a@b.example", "@c.example", "--blacklist", "@d.example")
    ctl.good("wblist", "add", "--account", "u@e.example", "--blacklist", "a@b.example")

    def listed(*arguments):
        return [(row["account"], row["address"], row["list"])
                for row in ctl.json("wblist", "list", *arguments)]
    assert listed() == [("u@e.example", "a@b.example", "blacklist"),
                        ("@.", "a@b.example", "whitelist"), ("@.", "@c.example", "whitelist"),
                        ("@.", "@d.example", "blacklist")]
    assert listed("--account", "u@e.example") == listed()[:1]
    assert listed("--blacklist") == [listed()[0], listed()[3]]
    assert listed("--whitelist", "A@b.example", "--blacklist", "@d.example") == [
        listed()[1], listed()[3]]
    assert ctl.json("wblist", "list", "--outbound") == []
    run = ctl("wblist", "list", "--account", "x@y.example")
    assert (run.returncode, run.stderr) == (NOTHING, "posternctl: nothing matches\n")


def test_delete_is_from_the_list_that_is_named(ctl):
    ctl.good("wblist", "add", "--whitelist", "a@b.example", "--blacklist", "c@d.example")
    run = ctl("wblist", "delete", "--blacklist", "a@b.example")
    assert run.returncode == NOTHING
    assert "posternctl wblist list" in run.stderr
    said = ctl.json("wblist", "delete", "--whitelist", "a@b.example", "x@y.example", "--blacklist",
                    "c@d.example")
    assert (said["changed"], said["message"][:6]) == (2, "2 of 3")
    assert inbound(ctl) == []
    assert "`nonsense`" in ctl.refused("wblist", "delete", "--whitelist", "nonsense")


def test_entry_in_no_valid_form_can_be_deleted(ctl):
    email = b"old.thing" if ctl.database.section()["driver"] == "pgsql" else "old.thing"
    ctl.good("wblist", "add", "--blacklist", "a@b.example")
    ctl.database.amavisd.execute("UPDATE mailaddr SET email = ?", email)
    ctl.good("wblist", "delete", "--blacklist", "Old.Thing")
    assert inbound(ctl) == []


def test_clear_empties_one_account_in_one_direction(ctl):
    for account in ("@.", "u@e.example"):
        for direction in ([], ["--outbound"]):
            ctl.good("wblist", "add", "--account", account, *direction, "--whitelist",
                     "a@b.example", "--blacklist", "c@d.example")
    assert ctl.json("wblist", "clear", "--account", "U@e.example")["changed"] == 2
    assert {row[0] for row in inbound(ctl)} == {"@."}
    assert len(outbound(ctl)) == 4
    ctl.good("wblist", "clear")
    assert inbound(ctl) == []
    ctl.good("wblist", "clear", "--outbound")
    assert {row[0] for row in outbound(ctl)} == {"u@e.example"}
    assert ctl("wblist", "clear").returncode == NOTHING
    assert "--account" in ctl.refused("wblist", "clear", "--account", "nonsense")


def test_list_in_json_can_be_taken_in_again(ctl):
    ctl.good("wblist", "add", "--blacklist", "a@b.example", "192.0.2.0/24", "@.c.example")
    before = inbound(ctl)
    lines = [row["address"] for row in ctl.json("wblist", "list", "--blacklist")]
    ctl.good("wblist", "clear")
    ctl.good("wblist", "add", "--blacklist", "-", lines=lines)
    assert inbound(ctl) == before


def test_wblist_without_its_database_says_what_to_configure(build, folder, backend):
    if backend.name == "sqlite":
        pytest.skip("all databases are one file")
    ctl = Ctl(build, folder, backend.create(folder))
    assert 'database "amavisd"' in ctl.refused("wblist", "list", status=UNREACHABLE)


# --- rdns ---


def test_names_are_added_changed_and_deleted(ctl):
    ctl.good("rdns", "add", "--whitelist", "MX.a.example.com", "--blacklist", ".Example.com",
             ".com")
    assert names(ctl) == [(".com", "B"), (".example.com", "B"), ("mx.a.example.com", "W")]
    ctl.good("rdns", "add", "--whitelist", ".com")
    assert (".com", "W") in names(ctl)
    ctl.good("rdns", "delete", "--whitelist", ".COM", "mx.a.example.com")
    assert names(ctl) == [(".example.com", "B")]
    assert ctl("rdns", "delete", "--whitelist", ".example.com").returncode == NOTHING


def test_list_of_names_can_be_narrowed(ctl):
    ctl.good("rdns", "add", "--whitelist", "a.example", "b.example", "--blacklist", ".c.example")
    assert ctl.json("rdns", "list") == [
        {"name": ".c.example", "list": "blacklist"}, {"name": "a.example", "list": "whitelist"},
        {"name": "b.example", "list": "whitelist"}]
    assert [row["name"] for row in ctl.json("rdns", "list", "--blacklist")] == [".c.example"]
    assert [row["name"] for row in ctl.json("rdns", "list", "--whitelist", "B.example")] == [
        "b.example"]
    assert ctl("rdns", "list", "--blacklist", "a.example").returncode == NOTHING


@pytest.mark.parametrize("name", [
    "", ".", "..com", "a..b", "a.example.", "a b", "@example.com", "192.0.2.1", "2001:db8::1",
    "[192.0.2.1]", "*.example.com", "jörg.example", "a" * 256])
def test_what_is_no_name_is_refused(ctl, name):
    said = ctl.refused("rdns", "add", "--whitelist", "good.example", name)
    assert "--whitelist: `" in said
    assert names(ctl) == []


# --- lines of standard input ---


def test_lines_may_be_empty_commented_padded_and_end_as_on_windows(ctl):
    text = "\ufeff# ours\r\n\r\n  a.example\r\nb.example\t# theirs\r\nA.example\r\nc.example"
    ctl.good("rdns", "add", "--whitelist", "-", "--blacklist", ".d.example", text=text)
    assert names(ctl) == [(".d.example", "B"), ("a.example", "W"), ("b.example", "W"),
                          ("c.example", "W")]


def test_hash_within_an_address_begins_no_comment(ctl):
    ctl.good("wblist", "add", "--whitelist", "-", lines=["a#b@c.example #d"])
    assert [row[1] for row in inbound(ctl)] == ["a#b@c.example"]


@pytest.mark.parametrize("words", [["wblist", "add", "--blacklist"], ["rdns", "add", "--blacklist"],
                                   ["greylist", "whitelist", "add", "--from"]])
def test_wrong_lines_are_named_and_nothing_is_written(ctl, words):
    good = "good.example" if words[0] == "rdns" else "@good.example"
    run = ctl(*words, "-", lines=[good, "not this", good, "x" * 2000, "", "nul\0"])
    assert (run.returncode, run.stdout) == (2, "")
    assert "standard input:2: `not this`" in run.stderr
    assert "standard input:4: the line is longer" in run.stderr
    assert "standard input:6: the line has a NUL byte" in run.stderr
    assert "nothing was changed" in run.stderr
    assert names(ctl) == inbound(ctl) == whitelist(ctl) == []


def test_only_the_first_wrong_lines_are_named(ctl):
    said = ctl.refused("rdns", "add", "--blacklist", "-", lines=["?"] * 5000)
    assert "standard input:10:" in said
    assert "standard input:11:" not in said
    assert "there are more" in said


def test_control_characters_of_wrong_lines_do_not_reach_the_terminal(ctl):
    said = ctl.refused("rdns", "add", "--blacklist", "-", lines=["\x1b[31mred"])
    assert "\x1b" not in said


def test_entry_on_both_lists_is_refused_with_its_line(ctl):
    said = ctl.refused("rdns", "add", "--whitelist", "a.example", "--blacklist", "-",
                       lines=["b.example", "A.example"])
    assert "standard input:2: `A.example` is given for both lists" in said
    assert names(ctl) == []


def test_no_lines_change_nothing(ctl):
    for words in (["wblist", "add", "--blacklist", "-"], ["rdns", "delete", "--blacklist", "-"],
                  ["greylist", "whitelist", "add", "--from", "-"]):
        assert ctl(*words, lines=["# nobody"]).returncode == NOTHING
    assert amavisd(ctl, "SELECT email FROM users") == []


def test_closed_standard_input_is_an_error(ctl):
    said = ctl.refused("rdns", "add", "--blacklist", "-", status=UNREACHABLE, text=None,
                       preexec_fn=lambda: os.close(0))
    assert said == "posternctl: cannot read standard input: Bad file descriptor\n"


def test_too_much_input_is_refused(ctl):
    said = ctl.refused("rdns", "add", "--blacklist", "-", text="a.example\n" * 1_700_000,
                       status=UNREACHABLE)
    assert "more than 16 MB" in said


def test_many_lines_go_in_and_out_again(ctl):
    lines = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(20_000)]
    added = json.loads(ctl.good("--json", "wblist", "add", "--blacklist", "-", lines=lines))
    assert added["changed"] == len(lines)
    assert len(ctl.json("wblist", "list")) == len(lines)
    assert ctl.json("wblist", "delete", "--blacklist", "-", lines=lines)["changed"] == len(lines)
    assert inbound(ctl) == []


def read_terminal(terminal):
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other side is closed
        while piece := os.read(terminal, 4096):
            shown += piece
    return shown.decode()


def test_progress_is_shown_on_a_terminal_only(ctl):
    text = "".join(f"mx{number}.example\n" for number in range(3000))
    command = [ctl.build / "src/posternctl", "-c", ctl.config, "rdns", "add", "--blacklist", "-"]
    ours, theirs = pty.openpty()
    subprocess.run(command, input=text, text=True, stdout=subprocess.DEVNULL, stderr=theirs,
                   timeout=60, check=True)
    os.close(theirs)
    assert "1024 of 3000\r2048 of 3000\r" in read_terminal(ours)
    os.close(ours)
    ctl.good("rdns", "add", "--blacklist", "-", text=text)


def test_what_a_failing_database_has_left_is_done_by_the_same_command_again(build, folder):
    ctl = Ctl(build, folder, SqliteBackend().create(folder))
    lines = [f"mx{number:04}.example" for number in range(3000)]
    ctl.database.execute("CREATE TRIGGER broken BEFORE INSERT ON wblist_rdns "
                         "WHEN new.rdns = 'mx2500.example' "
                         "BEGIN SELECT RAISE(ABORT, 'disk on fire'); END")
    said = ctl.refused("rdns", "add", "--blacklist", "-", lines=lines, status=UNREACHABLE)
    assert "disk on fire" in said
    assert "2048 of 3000 are done" in said
    assert len(names(ctl)) == 2048
    ctl.database.execute("DROP TRIGGER broken")
    ctl.good("rdns", "add", "--blacklist", "-", lines=lines)
    assert len(names(ctl)) == 3000


# --- greylist whitelist ---


def test_many_senders_are_whitelisted_with_one_comment(ctl):
    ctl.good("greylist", "whitelist", "add", "--from", "-", "--to", "@example.com", "--comment",
             "Partners", lines=["192.0.2.7/24", "A@b.example", "sales@*"])
    assert whitelist(ctl) == [("@example.com", sender, "Partners")
                              for sender in ("192.0.2.0/24", "a@b.example", "sales@*")]
    ctl.good("greylist", "whitelist", "add", "--from", "a@b.example", "--to", "@example.com")
    assert whitelist(ctl)[1] == ("@example.com", "a@b.example", "Partners")


def test_many_senders_are_taken_from_the_whitelist(ctl):
    lines = [f"a{number}@b.example" for number in range(3000)]
    ctl.good("greylist", "whitelist", "add", "--from", "-", lines=lines)
    assert len(ctl.json("greylist", "whitelist", "list")) == 3000
    done = ctl.json("greylist", "whitelist", "delete", "--from", "-",
                    lines=[*lines[1:], "c@d.example"])
    assert done["changed"] == 2999
    assert whitelist(ctl) == [("@.", "a0@b.example", "")]
