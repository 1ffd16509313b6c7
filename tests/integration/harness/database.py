"""The daemon's databases, and direct access to them for what posternctl can't say."""
import pathlib
import sqlite3
import subprocess

GREYLISTING_PRIORITIES = {"address": 100, "user": 90, "ip": 80, "wildcard": 70, "network": 70,
                          "domain": 60, "subdomains": 50, "top": 40, "everybody": 0}
AMAVISD_PRIORITIES = {"address": 10, "user": 7, "ip": 9, "wildcard": 8, "network": 7,
                      "domain": 5, "subdomains": 3, "top": 2, "everybody": 0}


def account_form(account):
    if account == "@.":
        return "everybody"
    if account.startswith("@."):
        return "subdomains" if "." in account[2:] else "top"
    if account.startswith("@"):
        return "domain"
    if account.endswith("@*"):
        return "user"
    if "@" in account:
        return "address"
    if "/" in account:
        return "network"
    return "wildcard" if "*" in account else "ip"


def greylisting_priority(account):
    """The priority that behaviour.md gives to this form of an account."""
    return GREYLISTING_PRIORITIES[account_form(account)]


INTEGRATION = pathlib.Path(__file__).resolve().parents[1]


class Database:
    """
    What every backend has; '?' stands for a value. It is the daemon's iredapd; `others` are the
    other logical databases that it was made with, by their names.
    """

    others = {}

    def execute(self, sql, *values):
        raise NotImplementedError

    def query(self, sql, *values):
        """All rows, each a tuple."""
        raise NotImplementedError

    def section(self):
        """Settings of its section in postern.conf."""
        raise NotImplementedError

    def sections(self):
        """Its section and those of the others, by their heads."""
        return {f'database "{name}"': database.section()
                for name, database in {"iredapd": self, **self.others}.items()}

    @property
    def amavisd(self):
        return self.others["amavisd"]

    @property
    def vmail(self):
        return self.others["vmail"]

    def count(self, table, where="1 = 1", *values):
        return self.query(f"SELECT COUNT(*) FROM {table} WHERE {where}", *values)[0][0]

    def triplets(self, where="1 = 1", *values):
        """Rows of greylisting_tracking as dicts, oldest first."""
        columns = ("sender", "recipient", "client_address", "sender_domain", "rcpt_domain",
                   "init_time", "block_expired", "record_expired", "blocked_count", "passed")
        rows = self.query(f"SELECT {', '.join(columns)} FROM greylisting_tracking"
                          f" WHERE {where} ORDER BY id", *values)
        return [dict(zip(columns, row)) for row in rows]

    def set_greylisting(self, account, sender, active, priority=None, sender_priority=None):
        """A row of settings with the priorities that its forms have, unless told otherwise."""
        if priority is None:
            priority = greylisting_priority(account)
        if sender_priority is None:
            sender_priority = greylisting_priority(sender)
        self.execute("DELETE FROM greylisting WHERE account = ? AND sender = ?", account, sender)
        self.execute("INSERT INTO greylisting (account, priority, sender, sender_priority, active)"
                     " VALUES (?, ?, ?, ?, ?)", account, priority, sender, sender_priority,
                     1 if active else 0)

    def amavisd_id(self, table, email, priority=None):
        """Of the row that has this address, with this priority if it is given."""
        if not self.count(table, "email = ?", email):
            self.execute(f"INSERT INTO {table} (email, priority) VALUES (?, ?)", email,
                         AMAVISD_PRIORITIES[account_form(email)])
        if priority is not None:
            self.execute(f"UPDATE {table} SET priority = ? WHERE email = ?", priority, email)
        return self.query(f"SELECT id FROM {table} WHERE email = ?", email)[0][0]

    def list_address(self, word, address, account="@.", outbound=False, priority=None,
                     account_priority=None):
        """A W or B in the white- and blacklists of amavisd: `address` is the other side's."""
        user = self.amavisd_id("users", account, account_priority)
        other = self.amavisd_id("mailaddr", address, priority)
        table = "outbound_wblist" if outbound else "wblist"
        self.execute(f"INSERT INTO {table} (rid, sid, wb) VALUES (?, ?, ?)",
                     *((other, user) if outbound else (user, other)), word)

    def whitelist(self, sender, account="@.", table="greylisting_whitelists"):
        self.execute(f"INSERT INTO {table} (account, sender) VALUES (?, ?)", account, sender)


class SqliteDatabase(Database):
    """One file for all three."""

    def __init__(self, folder):
        self.path = folder / "postern.db"
        self.others = {"vmail": self, "amavisd": self}

    def section(self):
        return {"driver": "sqlite", "path": self.path}

    def sections(self):
        """The others are in the file of iredapd, unless told otherwise."""
        return {'database "iredapd"': self.section()}

    def _run(self, sql, values):
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def execute(self, sql, *values):
        self._run(sql, values)

    def query(self, sql, *values):
        return self._run(sql, values)


class SqliteBackend:
    """Makes databases: a file each."""

    name = "sqlite"

    def create(self, folder, *_others):
        """The tables of the others come with `posternctl db init`."""
        return SqliteDatabase(folder)

    def remove(self):
        pass


class ServerDatabase(Database):
    def __init__(self, server, name):
        self.server, self.name, self.others = server, name, {}

    def section(self):
        return self.server.section(self.name)

    def execute(self, sql, *values):
        self.server.execute(sql, *values, database=self.name)

    def query(self, sql, *values):
        return self.server.query(sql, *values, database=self.name)

    def load_vmail(self):
        """The mail system's tables, which Postern never makes, as the user that asks for them."""
        role = "SET ROLE postern;\n" if self.server.driver == "pgsql" else ""
        script = INTEGRATION / "iredmail" / f"vmail.{self.server.driver}.sql"
        self.server.query(role + script.read_text(), database=self.name)


class ServerBackend:
    """Makes databases on one server, which runs until remove()."""

    def __init__(self, server):
        self.server, self.name, self.made = server, server.driver, 0

    def create(self, folder, *others):
        """An empty iredapd. others: "amavisd", empty too, and "vmail" with its tables."""
        self.made += 1
        database = self._create_one("iredapd")
        for name in others:
            database.others[name] = self._create_one(name)
            if name == "vmail":
                database.vmail.load_vmail()
        return database

    def _create_one(self, logical):
        name = f"postern{self.made}_{logical}"
        self.server.create_database(name)
        return ServerDatabase(self.server, name)

    def remove(self):
        self.server.remove()


def run_posternctl(build, config, *arguments, **options):
    return subprocess.run([build / "src/posternctl", "-c", config, *arguments], text=True,
                          capture_output=True, timeout=60, check=False, **options)
