"""A PostgreSQL server of our own: a cluster in a temporary folder, on a free port."""
import csv
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 120
deadlock_timeout = '50ms'
log_line_prefix = '%m [%p] '
"""

ACCESS = """
local all postgres peer
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""


def binaries():
    """The folder of initdb and pg_ctl, or None where PostgreSQL is not installed."""
    if os.path.exists("/usr/bin/pg_ctl"):
        return pathlib.Path("/usr/bin")
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"),
                   key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    return "'" + value.replace("'", "''") + "'"


def fill(sql, values):
    """The text with each '?' replaced; good enough for statements that tests write."""
    parts = sql.split("?")
    assert len(parts) == len(values) + 1, sql
    return "".join(part + text for part, text in zip(parts, [*map(literal, values), ""]))


class PostgreSQL:
    """Started as the user postgres. Roles log in with a password, also on the socket."""

    driver = "pgsql"
    ca_variable = "PGSSLROOTCERT"
    user = "postern"
    password = "of the tests"

    @staticmethod
    def is_installed():
        return binaries() is not None

    def __init__(self, settings="", tls=False):
        self.bin = binaries()
        parent = os.environ.get("POSTERN_SERVERS", "/tmp")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-pg-", dir=parent))
        self.folder.chmod(0o755)
        shutil.chown(self.folder, "postgres", "postgres")
        self.socket = self.folder  # what `host` names to reach it without TCP
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.port = free_port()
        self._run("initdb", "--pgdata", self.data, "--no-sync", "--auth", "peer",
                  "--encoding", "UTF8", "--locale", "C.UTF-8")
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as file:
            file.write(f"{SETTINGS}port = {self.port}\n"
                       f"unix_socket_directories = '{self.folder}'\n{settings}\n")
        if tls:
            self._certify()
        (self.data / "pg_hba.conf").write_text(ACCESS, encoding="ascii")
        self.start()
        self.execute(f"CREATE ROLE {self.user} LOGIN PASSWORD {literal(self.password)};"
                     f" GRANT pg_signal_backend TO {self.user};"
                     " ALTER SYSTEM SET client_min_messages = 'warning'")

    def _run(self, program, *arguments, **options):
        """In its own folder: the one of the caller may be closed to postgres."""
        return subprocess.run([self.bin / program, *map(str, arguments)], check=True, cwd="/",
                              user="postgres", group="postgres", extra_groups=[],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def _certify(self):
        """TLS with a certificate for localhost that is its own CA."""
        self.certificate = self.folder / "server.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", self.folder / "server.key", "-out", self.certificate],
                       check=True, capture_output=True)
        shutil.chown(self.folder / "server.key", "postgres", "postgres")
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as file:
            file.write(f"ssl = on\nssl_cert_file = '{self.certificate}'\n"
                       f"ssl_key_file = '{self.folder}/server.key'\n")

    def _control(self, *arguments):
        self._run("pg_ctl", "--pgdata", self.data, "--wait", *arguments)

    # --- the server

    def start(self):
        self._control("start", "--log", self.log)

    def stop(self, mode="fast"):
        """smart, fast, or immediate: as a crash."""
        self._control("stop", "--mode", mode)

    def restart(self):
        self._control("restart", "--mode", "fast", "--log", self.log)

    def remove(self):
        subprocess.run([self.bin / "pg_ctl", "--pgdata", self.data, "stop", "--mode", "immediate"],
                       check=False, cwd="/", user="postgres", group="postgres", extra_groups=[],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder)

    def signal(self, number):
        """To every process of it: SIGSTOP freezes the server, SIGCONT thaws it."""
        parent = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for process in [parent, *map(int, children)]:
            os.kill(process, number)

    def refuse_logins(self):
        self.execute(f"ALTER ROLE {self.user} NOLOGIN")

    def allow_logins(self):
        self.execute(f"ALTER ROLE {self.user} LOGIN")

    # --- its databases

    def create_database(self, name):
        self.execute(f"CREATE DATABASE {name} OWNER {self.user}")

    def drop_database(self, name):
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def query(self, sql, *values, database="postgres"):
        """All rows, each a tuple; what looks like an integer is one, and NULL is ''."""
        done = self._run("psql", "--no-psqlrc", "--quiet", "--csv", "--tuples-only",
                         "--set", "ON_ERROR_STOP=1", "--host", self.folder, "--port", self.port,
                         "--dbname", database, input=fill(sql, values) + ";\n")
        return [tuple(int(cell) if cell.lstrip("-").isdigit() else cell for cell in row)
                for row in csv.reader(done.stdout.splitlines())]

    def execute(self, sql, *values, database="postgres"):
        for statement in sql.split(";") if not values else [sql]:
            self.query(statement, *values, database=database)

    def terminate_connections(self, database):
        """Ends all sessions of a database; how many there were."""
        return len(self.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                              " WHERE datname = ? AND pid <> pg_backend_pid()", database))

    def connections(self, database):
        """How many sessions it has."""
        return self.query("SELECT count(*) FROM pg_stat_activity WHERE datname = ?", database)[0][0]

    def section(self, database):
        """What a `database` section of postern.conf says of it."""
        return {"driver": self.driver, "host": "127.0.0.1", "port": self.port, "name": database,
                "user": self.user, "password": self.password}
