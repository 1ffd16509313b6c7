"""The daemon's database, and direct access to it for what posternctl can't say."""
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


class Database:
    """What every backend has; '?' stands for a value."""

    def execute(self, sql, *values):
        raise NotImplementedError

    def query(self, sql, *values):
        """All rows, each a tuple."""
        raise NotImplementedError

    def section(self):
        """Settings of the section `database "iredapd"`."""
        raise NotImplementedError

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
    def __init__(self, folder):
        self.path = folder / "postern.db"

    def section(self):
        return {"driver": "sqlite", "path": self.path}

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

    def create(self, folder):
        return SqliteDatabase(folder)

    def remove(self):
        pass


class ServerDatabase(Database):
    def __init__(self, server, name):
        self.server, self.name = server, name

    def section(self):
        return self.server.section(self.name)

    def execute(self, sql, *values):
        self.server.execute(sql, *values, database=self.name)

    def query(self, sql, *values):
        return self.server.query(sql, *values, database=self.name)


class ServerBackend:
    """Makes databases on one server, which runs until remove()."""

    def __init__(self, server):
        self.server, self.name, self.made = server, server.driver, 0

    def create(self, folder):
        self.made += 1
        name = f"postern{self.made}"
        self.server.create_database(name)
        return ServerDatabase(self.server, name)

    def remove(self):
        self.server.remove()


def run_posternctl(build, config, *arguments, **options):
    return subprocess.run([build / "src/posternctl", "-c", config, *arguments], text=True,
                          capture_output=True, timeout=60, check=False, **options)
