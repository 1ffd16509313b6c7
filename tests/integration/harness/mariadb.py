"""A MariaDB server of our own: its data in a temporary folder, on a free port."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SETTINGS = """
[mariadbd]
bind-address = 127.0.0.1
skip-name-resolve
max_connections = 200
max_connect_errors = 1000000
innodb_buffer_pool_size = 64M
innodb_log_file_size = 32M
performance_schema = OFF
"""

TABULATED = {"\\n": "\n", "\\t": "\t", "\\0": "\0", "\\\\": "\\"}


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
        return f"x'{value.hex()}'"
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def fill(sql, values):
    """The text with each '?' replaced; good enough for statements that tests write."""
    parts = sql.split("?")
    assert len(parts) == len(values) + 1, sql
    return "".join(part + text for part, text in zip(parts, [*map(literal, values), ""]))


def cell_of(text):
    if text == "NULL":
        return ""
    for escaped, plain in TABULATED.items():
        text = text.replace(escaped, plain)
    return int(text) if text.lstrip("-").isdigit() else text


class MariaDB:
    """Runs as the user mysql; root logs in through the socket, `user` with a password."""

    driver = "mysql"
    ca_variable = "SSL_CERT_FILE"
    server = shutil.which("mariadbd", path="/usr/sbin:/usr/bin")
    user = "postern"
    password = "of the tests"

    @classmethod
    def is_installed(cls):
        return cls.server is not None

    def __init__(self, settings="", tls=False):
        parent = os.environ.get("POSTERN_SERVERS", "/tmp")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-my-", dir=parent))
        self.folder.chmod(0o755)
        shutil.chown(self.folder, "mysql", "mysql")
        self.data = self.folder / "data"
        self.log = self.folder / "log"
        self.socket = self.folder / "socket"  # what `host` names to reach it without TCP
        self.options = self.folder / "my.cnf"
        self.port = free_port()
        self.process = None
        if tls:
            settings += self._certify()
        self.options.write_text(
            f"{SETTINGS}port = {self.port}\nsocket = {self.socket}\ndatadir = {self.data}\n"
            f"pid-file = {self.folder}/pid\nlog-error = {self.log}\n{settings}\n", encoding="ascii")
        self._run("mariadb-install-db", f"--defaults-file={self.options}", "--skip-test-db",
                  "--auth-root-authentication-method=socket", "--auth-root-socket-user=root")
        self.start()
        self.execute(f"CREATE USER {self.user}@'%' IDENTIFIED BY {literal(self.password)}")

    def _certify(self):
        """TLS with a certificate for localhost that is its own CA."""
        self.certificate = self.folder / "server.crt"
        key = self.folder / "server.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", key, "-out", self.certificate],
                       check=True, capture_output=True)
        shutil.chown(key, "mysql", "mysql")
        return f"\nssl_cert = {self.certificate}\nssl_key = {key}\n"

    def _run(self, program, *arguments):
        return subprocess.run([program, *map(str, arguments)], check=True, cwd="/", user="mysql",
                              group="mysql", extra_groups=[], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)

    # --- the server

    def start(self):
        self.process = subprocess.Popen(
            [self.server, f"--defaults-file={self.options}"], cwd="/", user="mysql",
            group="mysql", extra_groups=[], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < end, "MariaDB does not start"
            time.sleep(0.05)

    def _answers(self):
        return self._client("SELECT 1", check=False).returncode == 0

    def stop(self, mode="fast"):
        """fast, or immediate: as a crash."""
        self.process.send_signal(signal.SIGKILL if mode == "immediate" else signal.SIGTERM)
        self.process.wait(60)

    def restart(self):
        self.stop()
        self.start()

    def signal(self, number):
        """SIGSTOP freezes the server, SIGCONT thaws it."""
        self.process.send_signal(number)

    def refuse_logins(self):
        self.execute(f"ALTER USER {self.user}@'%' ACCOUNT LOCK")

    def allow_logins(self):
        self.execute(f"ALTER USER {self.user}@'%' ACCOUNT UNLOCK")

    def remove(self):
        if self.process.poll() is None:
            self.stop("immediate")
        shutil.rmtree(self.folder)

    # --- its databases

    def _client(self, sql, database="", check=True):
        return subprocess.run(
            ["mariadb", f"--defaults-file={self.options}", f"--socket={self.socket}", "--user=root",
             "--batch", "--skip-column-names", "--default-character-set=utf8mb4", database],
            input=sql, check=check, env={"PATH": os.environ["PATH"], "HOME": "/"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def create_database(self, name):
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4;"
                     f" GRANT ALL ON {name}.* TO {self.user}@'%'")

    def drop_database(self, name):
        self.execute(f"DROP DATABASE IF EXISTS {name}")

    def query(self, sql, *values, database=""):
        """All rows, each a tuple; what looks like an integer is one, and NULL is ''."""
        done = self._client(fill(sql, values), database)
        return [tuple(map(cell_of, row.split("\t"))) for row in done.stdout.splitlines()]

    def execute(self, sql, *values, database=""):
        self._client(fill(sql, values) if values else sql, database)

    def terminate_connections(self, database):
        """Ends all sessions of a database; how many there were."""
        sessions = self.query("SELECT id FROM information_schema.processlist WHERE db = ?",
                              database)
        for (session,) in sessions:
            self._client(f"KILL {session}", check=False)
        return len(sessions)

    def connections(self, database):
        """How many sessions it has."""
        return self.query("SELECT COUNT(*) FROM information_schema.processlist WHERE db = ?",
                          database)[0][0]

    def section(self, database):
        """What a `database` section of postern.conf says of it."""
        return {"driver": self.driver, "host": "127.0.0.1", "port": self.port, "name": database,
                "user": self.user, "password": self.password}
