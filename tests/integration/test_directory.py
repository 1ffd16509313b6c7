"""Which domains are hosted here, as a plugin of somebody else's learns it."""
import pytest

from harness.plugin import build_plugin
from harness.policy import rcpt

PLUGIN = r"""
#include <postern/directory.h>
#include <postern/plugin.h>

static void check(struct postern_request *req)
{
    static const char *const kinds[] = {"local", "alias of", "backup MX"};
    struct postern_domain domain;
    enum postern_lookup lookup = postern_domain_find(req, req->recipient_domain, &domain);
    if (lookup == POSTERN_FOUND)
        postern_reject(req, "%s %s", kinds[domain.kind], domain.target);
    else if (lookup == POSTERN_NOT_FOUND)
        postern_reject(req, "not hosted here");
}

POSTERN_PLUGIN(hosted, .summary = "says where a recipient's domain is", .priority = 50,
               .states = POSTERN_RCPT, .check = check);
"""

DOMAINS = [("hosted.example", 0, 1), ("backup.example", 1, 1), ("closed.example", 0, 0)]
ALIASES = [("alias.example", "hosted.example", 1), ("off.example", "hosted.example", 0),
           ("of-closed.example", "closed.example", 1), ("of-nobody.example", "none.example", 1),
           ("of-backup.example", "backup.example", 1)]


@pytest.fixture
def hosted(build, folder, source):
    """The plugin, where the daemon finds it."""
    plugins = folder / "plugins"
    plugins.mkdir()
    build_plugin("hosted", PLUGIN, plugins, "-I", source / "include")
    return plugins


@pytest.fixture
def daemon_with(postern, databases, hosted):
    def make(**settings):
        daemon = postern(plugins=["hosted"], plugin_dir=hosted, database=databases,
                         sections={"directory": {"local_domains": ["Listed.example"]}}, **settings)
        for row in DOMAINS:
            databases.vmail.execute("INSERT INTO domain (domain, backupmx, active)"
                                    " VALUES (?, ?, ?)", *row)
        for row in ALIASES:
            databases.vmail.execute("INSERT INTO alias_domain (alias_domain, target_domain, active)"
                                    " VALUES (?, ?, ?)", *row)
        return daemon
    return make


def what_is(daemon, domain):
    return daemon.ask(rcpt(recipient=f"bob@{domain}")).removeprefix("REJECT ").strip()


def test_hosted_domains_are_those_listed_and_the_active_ones_of_vmail(daemon_with):
    daemon = daemon_with()
    assert {domain: what_is(daemon, domain) for domain in (
        "listed.example", "LISTED.example", "hosted.example", "Hosted.Example", "backup.example",
        "alias.example", "of-backup.example")} == {
            "listed.example": "local", "LISTED.example": "local", "hosted.example": "local",
            "Hosted.Example": "local", "backup.example": "backup MX",
            "alias.example": "alias of hosted.example", "of-backup.example": "backup MX"}
    for domain in ("closed.example", "off.example", "of-closed.example", "of-nobody.example",
                   "sub.hosted.example", "elsewhere.example", "b\u00fccher.example", "[192.0.2.1]"):
        assert what_is(daemon, domain) == "not hosted here", domain


def test_changed_tables_count_after_cache_ttl_and_at_once_without(daemon_with, databases):
    daemon = daemon_with(cache_ttl="0s", workers=1)
    databases.vmail.execute("UPDATE domain SET active = 0 WHERE domain = 'hosted.example'")
    databases.vmail.execute("INSERT INTO domain (domain) VALUES ('new.example')")
    assert what_is(daemon, "hosted.example") == "not hosted here"
    assert what_is(daemon, "alias.example") == "not hosted here"
    assert what_is(daemon, "new.example") == "local"


def test_both_answers_are_remembered_for_cache_ttl(daemon_with, databases):
    daemon = daemon_with(cache_ttl="1h", workers=1)
    before = [what_is(daemon, "hosted.example"), what_is(daemon, "new.example")]
    databases.vmail.execute("UPDATE domain SET active = 0 WHERE domain = 'hosted.example'")
    databases.vmail.execute("INSERT INTO domain (domain) VALUES ('new.example')")
    assert [what_is(daemon, "hosted.example"), what_is(daemon, "new.example")] == before
    assert before == ["local", "not hosted here"]


def test_failed_lookup_is_not_not_found_and_names_its_cause(daemon_with, databases):
    daemon = daemon_with(on_error="defer")
    databases.vmail.execute("DROP TABLE alias_domain")
    assert what_is(daemon, "elsewhere.example").startswith("451 4.3.0")
    assert what_is(daemon, "listed.example") == "local"
    line = daemon.wait_for_log("cannot tell whether mail for elsewhere.example is received here")[0]
    assert "database vmail" in line and "alias_domain" in line


def test_vmail_that_is_not_configured_is_not_asked(postern, backend, folder, hosted):
    """On a server of its own; beside an embedded database there is always a vmail, if empty."""
    daemon = postern(plugins=["hosted"], plugin_dir=hosted, database=backend.create(folder),
                     on_error="defer")
    assert what_is(daemon, "hosted.example") == "not hosted here"
    assert daemon.metrics().sum("postern_db_queries_total", database="vmail") == (
        1 if backend.name == "sqlite" else 0)
