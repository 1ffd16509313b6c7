"""The daemon's databases, and direct access to them for what posternctl can't say."""
import pathlib
import sqlite3
import subprocess

PRIORITIES = {"address": 100, "user": 90, "ip": 80, "network": 70, "domain": 60,
              "subdomains": 50, "top": 40, "everybody": 0}


def greylisting_priority(account):
    """The priority that behaviour.md gives to this form of an account."""
    if account == "@.":
        form = "everybody"
    elif account.startswith("@."):
        form = "subdomains" if "." in account[2:] else "top"
    elif account.startswith("@"):
        form = "domain"
    elif account.endswith("@*"):
        form = "user"
    elif "@" in account:
        form = "address"
    else:
        form = "network" if "/" in account or "*" in account else "ip"
    return PRIORITIES[form]


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
