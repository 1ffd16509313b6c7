"""`posternctl srs`, and with it the rules of what SRS rewrites, on every database."""
import json
import re
import socket

import pytest

DONE, NOTHING, USAGE, UNREACHABLE = 0, 1, 2, 3
DAY = 86400


@pytest.fixture
def site(postern, databases):
    """A configuration with SRS and its databases; there is no need for a daemon."""
    return postern(start=False, database=databases, sections={
        "srs": {"domain": "srs.example", "secrets": ["test-secret-one"]},
        "directory": {"local_domains": ["listed.example"]}})


def complaint(run):
    """stderr without what a sanitizer says of fibers."""
    return "".join(line for line in run.stderr.splitlines(keepends=True)
                   if "makecontext" not in line)


def forward(site, address):
    run = site.ctl("srs", "forward", address)
    assert run.returncode == DONE, complaint(run)
    return run.stdout.strip()


def is_rewritten(site, address):
    run = site.ctl("srs", "forward", address)
    assert run.returncode in (DONE, NOTHING), complaint(run)
    assert (run.returncode == DONE) == bool(run.stdout)
    return run.returncode == DONE


def test_sender_is_rewritten_and_led_back(site):
    site.now = 297 * DAY
    site.advance(0)
    assert forward(site, "Alice@Remote.Example") == (
        "SRS0=ii9F=JJ=Remote.Example=Alice@srs.example")
    back = site.ctl("srs", "reverse", "srs0=ii9f=jj=remote.example=alice@srs.example")
    assert (back.returncode, back.stdout) == (DONE, "alice@remote.example\n")


def test_expired_and_forged_addresses_are_not_led_back(site):
    site.advance(0)
    address = forward(site, "alice@remote.example")
    site.advance(22 * DAY)
    run = site.ctl("srs", "reverse", address)
    assert run.returncode == NOTHING and not run.stdout and "21 days" in complaint(run)
    run = site.ctl("srs", "reverse", "SRS0=aaaa=JJ=remote.example=alice@srs.example")
    assert run.returncode == NOTHING and not run.stdout and "secret" in complaint(run)
    run = site.ctl("srs", "reverse", "alice@srs.example")
    assert run.returncode == NOTHING and not run.stdout


def test_senders_who_are_at_home_here_are_not_rewritten(site, databases):
    databases.vmail.execute("INSERT INTO domain (domain, backupmx, active)"
                            " VALUES ('hosted.example', 0, 1), ('backup.example', 1, 1),"
                            " ('closed.example', 0, 0)")
    databases.vmail.execute("INSERT INTO alias_domain (alias_domain, target_domain, active)"
                            " VALUES ('alias.example', 'hosted.example', 1)")
    host = socket.gethostname()
    for home in ("a@srs.example", "a@SRS.example", f"root@{host}", "a@listed.example",
                 "a@Listed.Example", "a@hosted.example", "a@backup.example", "a@alias.example"):
        assert not is_rewritten(site, home), home
    for outside in ("a@closed.example", "a@sub.hosted.example", "a@remote.example"):
        assert is_rewritten(site, outside), outside


def test_excluded_domains_count_with_their_subdomains_with_or_without_a_dot(site, databases):
    databases.execute("INSERT INTO srs_exclude_domains (domain)"
                      " VALUES ('plain.example'), ('.dotted.example')")
    for excluded in ("a@plain.example", "a@Sub.Plain.Example", "a@dotted.example",
                     "a@b.c.dotted.example"):
        assert not is_rewritten(site, excluded), excluded
    assert is_rewritten(site, "a@complain.example")


def test_excluded_domains_are_added_listed_and_deleted(site, databases):
    assert site.ctl("srs", "exclude", "list").stdout == "DOMAIN\n"
    run = site.ctl("srs", "exclude", "add", "B.example", ".a.example", "--json")
    assert run.returncode == DONE and json.loads(run.stdout)["changed"] == 2
    assert site.ctl("srs", "exclude", "list").stdout == "DOMAIN\na.example\nb.example\n"
    run = site.ctl("srs", "exclude", "add", "b.example", "--json")
    assert run.returncode == DONE and json.loads(run.stdout)["changed"] == 0
    run = site.ctl("srs", "exclude", "list", "--json")
    assert json.loads(run.stdout) == [{"domain": "a.example"}, {"domain": "b.example"}]

    databases.execute("INSERT INTO srs_exclude_domains (domain) VALUES ('.b.example')")
    run = site.ctl("srs", "exclude", "delete", "b.example")
    assert run.returncode == DONE and "b.example" in run.stdout
    assert site.ctl("srs", "exclude", "list").stdout == "DOMAIN\na.example\n"
    run = site.ctl("srs", "exclude", "delete", "b.example")
    assert run.returncode == NOTHING and "srs exclude list" in complaint(run)


def test_domains_are_read_from_standard_input(site):
    run = site.ctl("srs", "exclude", "add", "-", input="one.example\n\ntwo.example\r\n")
    assert run.returncode == DONE, complaint(run)
    assert site.ctl("srs", "exclude", "list").stdout == "DOMAIN\none.example\ntwo.example\n"


def test_what_is_no_domain_is_refused_and_changes_nothing(site):
    for wrong in ("a@b.example", "..b.example", "b example", ""):
        run = site.ctl("srs", "exclude", "add", "good.example", wrong)
        assert run.returncode == USAGE and "not a domain" in complaint(run)
    assert site.ctl("srs", "exclude", "add").returncode == USAGE
    assert site.ctl("srs", "exclude", "list").stdout == "DOMAIN\n"


def test_many_addresses_are_answered_in_a_table(site):
    site.advance(0)
    addresses = ["alice@remote.example", "a@listed.example", "b\u00fc@remote.example"]
    run = site.ctl("srs", "forward", "-", input="\n".join(addresses))
    head, *lines = run.stdout.splitlines()
    assert run.returncode == NOTHING and head == "ADDRESS\tRESULT\tREASON"
    first, second, third = [line.split("\t") for line in lines]
    assert first[0] == addresses[0] and first[1].startswith("SRS0=") and first[2] == ""
    assert second[:2] == [addresses[1], "-"] and "hosted here" in second[2]

    run = site.ctl("srs", "reverse", first[1], third[1], "--json")
    assert run.returncode == DONE
    assert [row["result"] for row in json.loads(run.stdout)] == [addresses[0], addresses[2]]


def test_failed_lookup_is_told_and_is_no_answer(site, databases):
    databases.vmail.execute("DROP TABLE alias_domain")
    run = site.ctl("srs", "forward", "alice@remote.example")
    assert run.returncode == UNREACHABLE and not run.stdout
    assert "database vmail" in complaint(run) and "alias_domain" in complaint(run)
    assert not is_rewritten(site, "a@listed.example")
    assert site.ctl("srs", "reverse", "a@srs.example").returncode == NOTHING


def test_secret_is_new_each_time_and_signs(build, postern):
    site = postern(start=False, init=False)
    secrets = [site.ctl("srs", "secret").stdout.strip(),
               json.loads(site.ctl("srs", "secret", "--json").stdout)["secret"]]
    assert secrets[0] != secrets[1]
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in secrets)


def test_without_a_domain_srs_is_off(postern):
    site = postern(start=False)
    run = site.ctl("srs", "forward", "alice@remote.example")
    assert run.returncode == NOTHING and "SRS is off" in complaint(run)
