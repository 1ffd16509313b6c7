"""The tables on real servers: made from nothing, or taken over from iRedAPD with their rows."""
import json
import pathlib
import subprocess
import threading

import pytest

from harness.dns import DnsServer
from harness.mariadb import MariaDB
from harness.migrated import OWN_TABLES, TABLES, ServerDatabase
from harness.policy import rcpt
from harness.ports import free_port
from harness.postgresql import PostgreSQL
from harness.wait import wait_for

SQL = pathlib.Path(__file__).resolve().parents[2] / "sql"
NEWEST = len(list((SQL / "sqlite" / "iredapd").glob("*.sql")))
SERVERS = {"pgsql": PostgreSQL, "mysql": MariaDB}
DONE, NOTHING, UNREACHABLE = 0, 1, 3
DEFERRED = "451 4.7.1 Intentional policy rejection, please try again later"
MIGRATE, INIT = "posternctl db migrate", "posternctl db init"

MERGED = {"throttle", "throttle_tracking"}

# What the fixtures' throttle tables are after migration: duplicates merged, counters of a throttle
# that is gone removed.
THROTTLE = {
    "pgsql": [(2, "@example.org", "outbound", 5, 3600, 100, 5000000000, -1, 50),
              (3, "@example.org", "outbound", 5, 86400, 500, -1, -1, -1),
              (4, "user@example.org", "inbound", 10, 60, 10, 0, 1024, 0)],
    "mysql": [(1, "@example.org", "outbound", 5, 3600, 100, 2147483647, -1, -1),
              (2, "user@example.org", "inbound", 10, 60, 10, 0, 1024, 0)],
}
COUNTERS = {
    "pgsql": [(2, "@example.org", 3600, 2147483657, 1500, 1700000000, 1700000100, 1700000060),
              (3, "@example.org", 86400, 7, 700, 1700000000, 1700000007, 0),
              (4, "user@example.org", 60, 1, 10, 1700000000, 1700000000, 0)],
    "mysql": [(1, "@example.org", 3600, 8388607, 4294967295, 1700000000, 1700000100, 0),
              (2, "user@example.org", 60, 1, 10, 1700000000, 1700000000, 1700000060)],
}
BACKED_UP = {
    "pgsql": {"postern_backup_throttle": 2, "postern_backup_throttle_tracking": 6},
    "mysql": {"postern_backup_throttle_tracking": 1},
}


SLEEPERS = {
    "pgsql": "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
    "mysql": "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'DO SLEEP%'",
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request):
    if not SERVERS[request.param].is_installed():
        pytest.skip(f"there is no server for {request.param} here")
    running = SERVERS[request.param]()
    running.made = 0
    yield running
    running.remove()


@pytest.fixture
def make_database(server):
    made = []

    def make():
        server.made += 1
        made.append(ServerDatabase(server, f"migrated{server.made}"))
        return made[-1]

    yield make
    for database in made:
        server.drop_database(database.name)


@pytest.fixture
def empty(make_database):
    return make_database()


@pytest.fixture
def iredapd(make_database):
    """A database that iRedAPD has used."""
    return make_database().load_iredapd()


@pytest.fixture
def site(postern):
    """Makes a daemon on a database, not started."""
    def make(database, **settings):
        return postern(start=False, init=False, database=database, plugins=["greylisting"],
                       **settings)
    return make


def status(daemon):
    """The exit status of `db status`, and its lines by database."""
    done = daemon.ctl("--json", "db", "status")
    return done.returncode, {line["database"]: line for line in json.loads(done.stdout)}


def changed(daemon, *arguments):
    done = daemon.ctl("--json", *arguments)
    assert done.returncode == DONE, done.stderr
    return json.loads(done.stdout)["changed"]


def migrate(daemon):
    return changed(daemon, "db", "migrate")


def refusal(daemon, *arguments, code=UNREACHABLE):
    done = daemon.ctl(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr


def refused_start(daemon):
    done = daemon.run("-f", "-c", daemon.config)
    assert done.returncode not in (0, 99), done.stderr
    return done.stderr


def assert_greylists(daemon):
    """As iRedAPD's rows have it: who has passed is let through, others wait."""
    assert daemon.ask(rcpt(sender="known@sender.example", recipient="bob@example.org",
                           client_address="198.51.100.7")) == "DUNNO"
    assert daemon.ask(rcpt(sender="a@b.example", recipient="x@quiet.example",
                           client_address="192.0.2.1")) == "DUNNO"
    assert daemon.ask(rcpt(sender="a@b.example", recipient="bob@example.org",
                           client_address="192.0.2.77")) == "DUNNO"
    fresh = rcpt(sender="first@b.example", recipient="bob@example.org", client_address="192.0.2.1")
    assert daemon.ask(fresh) == DEFERRED
    daemon.advance(1000)
    assert daemon.ask(fresh) == "DUNNO"


# --- from nothing ---

def test_empty_database_is_made_and_asked_for_nothing_more(site, empty):
    daemon = site(empty)
    code, lines = status(daemon)
    assert code == NOTHING and lines["iredapd"]["state"] == "empty"
    assert INIT in lines["iredapd"]["advice"]
    assert changed(daemon, "db", "init") == NEWEST
    assert set(TABLES) | OWN_TABLES == empty.tables()
    code, lines = status(daemon)
    assert code == DONE and set(lines) == {"iredapd"}
    line = lines["iredapd"]
    assert line["driver"] == empty.server.driver and empty.name in line["location"]
    assert (line["version"], line["newest"], line["state"]) == (NEWEST, NEWEST, "ready")
    assert changed(daemon, "db", "init") == migrate(daemon) == 0


def test_daemon_greylists_on_new_tables(site, empty):
    daemon = site(empty)
    daemon.init_database()
    daemon.start()
    assert daemon.ask(rcpt()) == DEFERRED
    daemon.advance(1000)
    assert daemon.ask(rcpt()) == "DUNNO"
    assert "db migrate" not in daemon.stderr_text()


def test_new_tables_have_the_keys_that_counting_needs(site, empty):
    site(empty).init_database()
    throttle = ("INSERT INTO throttle (id, account, kind, period) VALUES"
                " ({}, '@.', 'inbound', {})")
    empty.execute(throttle.format(1, 60))
    empty.execute(throttle.format(2, 90))
    assert empty.is_refused(throttle.format(3, 60))
    empty.execute("INSERT INTO throttle_tracking (tid, account) VALUES (1, 'a')")
    assert empty.is_refused("INSERT INTO throttle_tracking (tid, account) VALUES (1, 'a')")
    empty.execute("DELETE FROM throttle WHERE id = 1")
    assert empty.count("throttle_tracking") == 0


def test_amavisd_tables_are_made_where_there_are_none_and_vmail_never(site, make_database):
    databases = {name: make_database() for name in ("iredapd", "vmail", "amavisd")}
    daemon = site(databases["iredapd"], sections={
        f'database "{name}"': databases[name].section() for name in ("vmail", "amavisd")})
    done = daemon.ctl("db", "init")
    assert done.returncode == DONE
    assert "database vmail" in done.stderr and "never makes them" in done.stderr
    assert databases["vmail"].tables() == set()
    assert databases["amavisd"].tables() == {
        "users", "mailaddr", "wblist", "outbound_wblist", "postern_schema"}
    code, lines = status(daemon)
    assert code == NOTHING
    assert {name: line["state"] for name, line in lines.items()} == {
        "iredapd": "ready", "vmail": "empty", "amavisd": "ready"}
    databases["vmail"].load_vmail()
    before = databases["vmail"].tables()
    code, lines = status(daemon)
    assert code == DONE and lines["vmail"]["version"] is None
    assert migrate(daemon) == 0
    assert databases["vmail"].tables() == before


def test_amavisd_tables_of_the_mail_system_are_left_alone(site, make_database, empty):
    amavisd = make_database()
    amavisd.load(SQL / empty.server.driver / "amavisd" / "001_tables.sql")
    before = amavisd.columns(), amavisd.indexes()
    daemon = site(empty, sections={'database "amavisd"': amavisd.section()})
    assert changed(daemon, "db", "init") == NEWEST
    assert migrate(daemon) == 0
    assert status(daemon)[0] == DONE
    assert (amavisd.columns(), amavisd.indexes()) == before


# --- from iRedAPD ---

def test_daemon_serves_an_iredapd_database_as_it_is_and_names_the_command(site, iredapd):
    before = iredapd.columns(), iredapd.indexes()
    daemon = site(iredapd).start()
    assert_greylists(daemon)
    warnings = [line for line in daemon.log_lines() if MIGRATE in line]
    assert len(warnings) == 1 and "iRedAPD" in warnings[0]
    assert (iredapd.columns(), iredapd.indexes()) == before
    code, lines = status(daemon)
    assert code == NOTHING
    assert lines["iredapd"]["state"] == "old" and MIGRATE in lines["iredapd"]["advice"]
    listed = daemon.ctl("--json", "greylist", "list")
    assert len(json.loads(listed.stdout)) == 2


def test_every_row_of_iredapd_is_kept_or_merged(site, iredapd):
    before = iredapd.content()
    assert all(before.values())
    assert migrate(site(iredapd)) == NEWEST
    after = iredapd.content()
    for table in TABLES.keys() - MERGED:
        assert after[table] == before[table], table
    assert after["throttle"] == THROTTLE[iredapd.server.driver]
    assert sorted(row[1:] for row in after["throttle_tracking"]) == \
        COUNTERS[iredapd.server.driver]
    assert iredapd.query("SELECT DISTINCT shared FROM throttle") == [(0,)]


def test_rows_that_were_merged_or_removed_are_backed_up(site, iredapd):
    before = iredapd.content()
    migrate(site(iredapd))
    backups = {name for name in iredapd.tables() if name.startswith("postern_backup_")}
    assert {name: iredapd.count(name) for name in backups} == BACKED_UP[iredapd.server.driver]
    for name in backups:
        table = name.removeprefix("postern_backup_")
        assert set(iredapd.query(f"SELECT {TABLES[table]} FROM {name}")) <= set(before[table])


def test_whitelisted_domains_are_refreshed_on_migrated_tables(site, iredapd):
    record = "v=spf1 ip4:203.0.113.0/24 ip4:198.51.100.7 -all"
    with DnsServer({"partner.example": {"TXT": [record]}}) as dns:
        daemon = site(iredapd, sections={"dns": dns.section("1s")})
        migrate(daemon)
        before = iredapd.rows("greylisting_whitelist_domain_spf")
        done = daemon.ctl("greylist", "domain", "refresh")
        assert done.returncode == DONE, done.stderr
    after = iredapd.rows("greylisting_whitelist_domain_spf")
    assert after[:1] == before and [row[1:] for row in after[1:]] == [
        ("@.", "198.51.100.7", "AUTO-UPDATE: partner.example")]


def test_daemon_greylists_on_migrated_tables(site, iredapd):
    daemon = site(iredapd)
    migrate(daemon)
    daemon.start()
    assert_greylists(daemon)
    assert "db migrate" not in daemon.stderr_text()


def test_migration_under_a_running_daemon_is_not_noticed(site, iredapd):
    daemon = site(iredapd).start()
    with daemon.policy() as client:
        fresh = rcpt(sender="a@b.example", recipient="bob@example.org", client_address="192.0.2.1")
        assert client.request(fresh) == DEFERRED
        assert migrate(daemon) == NEWEST
        assert client.request(fresh) == DEFERRED
        daemon.advance(1000)
        assert client.request(fresh) == "DUNNO"
    assert not daemon.log_requests(action="error")
    assert "failed" not in daemon.stderr_text()


def test_tables_of_the_first_version_are_brought_up_to_date(site, empty):
    daemon = site(empty)
    daemon.init_database()
    made = empty.indexes()
    empty.execute({"pgsql": "DROP INDEX throttle_tracking_notify",
                   "mysql": "DROP INDEX throttle_tracking_notify ON throttle_tracking"}
                  [empty.server.driver])
    empty.execute("DELETE FROM postern_schema WHERE name = 'iredapd' AND version > 1")
    assert migrate(daemon) == NEWEST - 1
    assert empty.indexes() == made


def test_migrated_tables_have_the_keys_that_counting_needs(site, iredapd):
    migrate(site(iredapd))
    (tid,) = iredapd.query("SELECT MAX(id) FROM throttle")[0]
    throttle = ("INSERT INTO throttle (account, kind, period)"
                " VALUES ('user@example.org', 'inbound', {})")
    assert iredapd.is_refused(throttle.format(60))
    iredapd.execute(throttle.format(61))
    counter = f"INSERT INTO throttle_tracking (tid, account) VALUES ({tid}, 'user@example.org')"
    assert iredapd.is_refused(counter)
    iredapd.execute("UPDATE throttle_tracking SET cur_msgs = 5000000000, cur_quota = 9000000000000,"
                    " init_time = 5000000000")
    iredapd.execute(f"DELETE FROM throttle WHERE id = {tid}")
    assert iredapd.count("throttle_tracking", f"tid = {tid}") == 0


def test_migrated_counters_tell_users_apart_who_differ_by_an_accent(site, iredapd):
    migrate(site(iredapd))
    (tid,) = iredapd.query("SELECT MAX(id) FROM throttle")[0]
    counter = f"INSERT INTO throttle_tracking (tid, account) VALUES ({tid}, '{{}}@example.org')"
    iredapd.execute(counter.format("jose"))
    iredapd.execute(counter.format("josé"))
    assert iredapd.is_refused(counter.format("josé"))


def test_migrated_tables_get_no_second_index_of_the_same_columns(site, iredapd):
    migrate(site(iredapd))
    kinds = [index for index in iredapd.indexes() if index[0] == "greylisting_tracking"]
    names = [index[-1] for index in kinds if "client_address" in str(index)]
    assert len([index for index in kinds if "record_expired" in str(index)]) == 1
    assert not any("greylisting_tracking_client" in name and "idx" not in name for name in names)


def test_columns_and_tables_that_are_not_ours_stay(site, iredapd):
    iredapd.execute("ALTER TABLE throttle ADD COLUMN note VARCHAR(20) DEFAULT 'mine'")
    iredapd.execute("CREATE TABLE notes (note VARCHAR(20))")
    migrate(site(iredapd))
    assert iredapd.query("SELECT DISTINCT note FROM throttle") == [("mine",)]
    assert "notes" in iredapd.tables()


def test_second_migration_changes_nothing(site, iredapd):
    daemon = site(iredapd)
    assert migrate(daemon) == NEWEST
    before = iredapd.content(), iredapd.columns(), iredapd.indexes()
    assert migrate(daemon) == 0
    assert (iredapd.content(), iredapd.columns(), iredapd.indexes()) == before


def test_migration_of_migrated_tables_that_lost_their_version_changes_nothing(site, iredapd):
    daemon = site(iredapd)
    migrate(daemon)
    before = iredapd.content(), iredapd.columns(), iredapd.indexes()
    iredapd.execute("DELETE FROM postern_schema")
    assert migrate(daemon) == NEWEST
    assert (iredapd.content(), iredapd.columns(), iredapd.indexes()) == before


def test_two_hosts_that_migrate_at_once_both_succeed_and_one_applies(site, iredapd):
    daemon = site(iredapd)
    command = [daemon.build / "src/posternctl", "-c", daemon.config, "--json", "db", "migrate"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env=daemon.environment()) for _ in range(3)]
    outputs = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [DONE] * 3, outputs
    assert sum(json.loads(output)["changed"] for output, _ in outputs) == NEWEST
    assert iredapd.rows("throttle") == THROTTLE[iredapd.server.driver]
    assert status(daemon)[0] == DONE


def test_unique_key_that_is_missing_is_made_and_duplicates_merged(site, iredapd):
    key = {"pgsql": "DROP INDEX idx_greylisting_account_sender",
           "mysql": "DROP INDEX idx_greylisting_account_sender ON greylisting"}
    iredapd.execute(key[iredapd.server.driver])
    iredapd.execute("INSERT INTO greylisting (account, priority, sender, sender_priority, active)"
                    " VALUES ('@quiet.example', 60, '@.', 0, 1)")
    daemon = site(iredapd)
    assert MIGRATE in refused_start(daemon)
    code, lines = status(daemon)
    assert code == NOTHING and lines["iredapd"]["state"] == "incomplete"
    assert "unique key of greylisting" in lines["iredapd"]["advice"]
    assert migrate(daemon) == NEWEST
    assert [row[0] for row in iredapd.query("SELECT active FROM greylisting ORDER BY account")] == \
        [1, 1]
    assert iredapd.count("postern_backup_greylisting") == 2


def test_missing_table_stops_the_daemon_and_is_made(site, iredapd):
    iredapd.execute("DROP TABLE greylisting_whitelists")
    daemon = site(iredapd)
    refused = refused_start(daemon)
    assert "greylisting_whitelists" in refused and MIGRATE in refused
    assert migrate(daemon) == NEWEST
    assert iredapd.count("greylisting_whitelists") == 0


# --- what fails ---

def test_failure_half_way_leaves_tables_that_serve_and_says_what_to_do(site, iredapd):
    """On PostgreSQL nothing has happened; on MySQL what is done stays."""
    obstacle, cure = {
        "pgsql": ("CREATE VIEW obstacle AS SELECT cur_msgs FROM throttle_tracking",
                  "DROP VIEW obstacle"),
        "mysql": ("CREATE TABLE postern_backup_throttle_tracking (nothing INT)",
                  "DROP TABLE postern_backup_throttle_tracking")}[iredapd.server.driver]
    iredapd.execute(obstacle)
    before, columns = iredapd.content(), iredapd.columns()
    daemon = site(iredapd)
    complaint = refusal(daemon, "db", "migrate")
    assert "001_tables" in complaint and "run it again" in complaint
    assert iredapd.content() == before
    if iredapd.server.driver == "pgsql":
        assert "obstacle" in complaint and iredapd.columns() == columns
    daemon.start()
    assert_greylists(daemon)
    daemon.stop()
    iredapd.execute(cure)
    assert migrate(daemon) == NEWEST
    assert iredapd.rows("throttle") == THROTTLE[iredapd.server.driver]
    assert sorted(row[1:] for row in iredapd.rows("throttle_tracking")) == \
        COUNTERS[iredapd.server.driver]


def test_lock_that_another_session_keeps_is_waited_for_and_then_given_up(site, iredapd):
    keep = {"pgsql": "BEGIN; LOCK TABLE throttle; SELECT pg_sleep(20); COMMIT",
            "mysql": "LOCK TABLES throttle WRITE; DO SLEEP(20)"}[iredapd.server.driver]
    before, columns = iredapd.content(), iredapd.columns()
    daemon = site(iredapd)
    keeper = threading.Thread(target=lambda: iredapd.is_refused(keep))
    keeper.start()
    wait_for(lambda: iredapd.server.query(SLEEPERS[iredapd.server.driver])[0][0], "the lock")
    complaint = refusal(daemon, "--timeout", "1s", "db", "migrate")
    assert "001_tables" in complaint and "run it again" in complaint
    iredapd.server.terminate_connections(iredapd.name)
    keeper.join()
    assert iredapd.content() == before
    if iredapd.server.driver == "pgsql":
        assert iredapd.columns() == columns
    assert migrate(daemon) == NEWEST


def test_user_without_rights_on_the_tables_changes_nothing_and_greylists(site, iredapd):
    grants = {"pgsql": ["CREATE ROLE {user} LOGIN PASSWORD 'poor'",
                        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public"
                        " TO {user}",
                        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {user}"],
              "mysql": ["CREATE USER {user}@'%' IDENTIFIED BY 'poor'",
                        "GRANT SELECT, INSERT, UPDATE, DELETE ON {name}.* TO {user}@'%'"]}
    user = f"poor_{iredapd.name}"
    for grant in grants[iredapd.server.driver]:
        iredapd.execute(grant.format(user=user, name=iredapd.name))
    before = iredapd.content(), iredapd.columns(), iredapd.indexes()
    daemon = site(iredapd)
    daemon.sections['database "iredapd"'].update(user=user, password="poor")
    daemon.write_config()
    assert "run it again" in refusal(daemon, "db", "migrate")
    assert (iredapd.content(), iredapd.columns(), iredapd.indexes()) == before
    daemon.start()
    assert_greylists(daemon)


def test_newer_version_is_refused_by_both_programs(site, empty):
    daemon = site(empty)
    daemon.init_database()
    empty.execute("INSERT INTO postern_schema VALUES ('iredapd', 900, 0)")
    for verb in ("migrate", "init"):
        assert "900" in refusal(daemon, "db", verb, code=NOTHING)
    assert status(daemon)[1]["iredapd"]["state"] == "newer"
    assert "900" in refusal(daemon, "greylist", "list")
    assert "900" in refused_start(daemon)


def test_server_that_cannot_be_reached_is_waited_for_by_the_daemon_alone(site, empty):
    daemon = site(empty)
    daemon.sections['database "iredapd"']["port"] = free_port()
    daemon.write_config()
    for verb in ("status", "migrate", "init"):
        assert daemon.ctl("db", verb).returncode == UNREACHABLE
    daemon.start()
    port = str(daemon.sections['database "iredapd"']["port"])
    assert any("database iredapd" in line and port in line for line in daemon.log_lines())
    assert daemon.ask(rcpt()) == "DUNNO"
