"""A database of its own on a test server: empty, or as the programs before Postern leave it."""
import pathlib
import subprocess

from harness.database import Database

INTEGRATION = pathlib.Path(__file__).resolve().parents[1]

# What Postern and iRedAPD both know.
TABLES = {
    "greylisting": "id, account, priority, sender, sender_priority, comment, active",
    "greylisting_whitelists": "id, account, sender, comment",
    "greylisting_whitelist_domain_spf": "id, account, sender, comment",
    "greylisting_whitelist_domains": "id, domain",
    "greylisting_tracking": "id, sender, recipient, client_address, sender_domain, rcpt_domain,"
                            " init_time, block_expired, record_expired, blocked_count, passed",
    "throttle": "id, account, kind, priority, period, max_msgs, max_quota, msg_size, max_rcpts",
    "throttle_tracking": "id, tid, account, period, cur_msgs, cur_quota, init_time, last_time,"
                         " last_notify_time",
    "wblist_rdns": "id, rdns, wb",
    "srs_exclude_domains": "id, domain",
    "senderscore_cache": "client_address, score, time",
    "smtp_sessions": "id, time, time_num, action, reason, client_address, sender, recipient",
}

OWN_TABLES = {"postern_schema", "postern_leases", "greylisting_whitelist_domain_networks"}


class ServerDatabase(Database):
    def __init__(self, server, name):
        self.server, self.name = server, name
        server.create_database(name)

    def section(self):
        return self.server.section(self.name)

    def execute(self, sql, *values):
        self.server.query(sql, *values, database=self.name)

    def query(self, sql, *values):
        return self.server.query(sql, *values, database=self.name)

    def load(self, path):
        """A script, run as the user that its tables will belong to."""
        owner = "SET ROLE postern;\n" if self.server.driver == "pgsql" else ""
        self.server.query(owner + path.read_text(), database=self.name)
        return self

    def load_iredapd(self):
        return self.load(INTEGRATION / "iredapd61" / f"{self.server.driver}.sql")

    def load_vmail(self):
        return self.load(INTEGRATION / "iredmail" / f"vmail.{self.server.driver}.sql")

    def rows(self, table):
        return self.query(f"SELECT {TABLES[table]} FROM {table} ORDER BY 1")

    def content(self):
        return {table: self.rows(table) for table in TABLES}

    @property
    def schema(self):
        return "DATABASE()" if self.server.driver == "mysql" else "'public'"

    def tables(self):
        return {name for (name,) in self.query(
            f"SELECT table_name FROM information_schema.tables WHERE table_schema = {self.schema}")}

    def columns(self):
        return self.query(
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
            f" WHERE table_schema = {self.schema} ORDER BY 1, 2")

    def indexes(self):
        catalog = ("SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'"
                   if self.server.driver == "pgsql" else
                   "SELECT table_name, non_unique, seq_in_index, column_name, index_name"
                   " FROM information_schema.statistics WHERE table_schema = DATABASE()")
        return sorted(self.query(catalog))

    def is_refused(self, sql):
        try:
            self.execute(sql)
        except subprocess.CalledProcessError:
            return True
        return False
