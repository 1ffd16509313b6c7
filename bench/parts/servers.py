"""Database servers of the measurement's own, each with its floor."""
import contextlib
import os
import subprocess
import sys

from .build import SOURCE, measured, optional_program
from .errors import BenchError, LeftOut
from .load import CONNECTIONS, WARMUP_SECONDS

sys.path.insert(0, str(SOURCE / "tests/integration"))
from harness.mariadb import MariaDB  # noqa: E402
from harness.postgresql import PostgreSQL  # noqa: E402

DATABASE = "bench"
POOL_SIZE = 4  # the default


class Server:
    """Of the tests' fixture, reached through its Unix socket by the floor and Postern alike."""

    def __init__(self, fixture, build, host):
        self.fixture = fixture
        self.host = host
        self.floor = optional_program(build, f"bench/floor-{fixture.driver}")

    def section(self, pool_size):
        return {**self.fixture.section(DATABASE), "host": self.host, "pool_size": pool_size}

    def execute(self, sql):
        self.fixture.execute(sql, database=DATABASE)

    def empty(self):
        """So that the floor and Postern, in each round, find the same table."""
        self.execute("TRUNCATE TABLE greylisting_tracking")

    def measure_floor(self, seconds):
        self.empty()
        fixture = self.fixture
        return measured([self.floor, "-H", self.host, "-P", str(fixture.port), "-D", DATABASE,
                         "-U", fixture.user, "-c", str(CONNECTIONS), "-d", str(seconds),
                         "-w", str(WARMUP_SECONDS)],
                        env={**os.environ, "FLOOR_PASSWORD": fixture.password})


@contextlib.contextmanager
def started(make):
    """The fixture's user owns its folder, so only root can start it."""
    if os.geteuid() != 0:
        raise LeftOut("only root can start the server as its own user")
    if not make.is_installed():
        raise LeftOut("the server is not installed")
    try:
        fixture = make()
    except (OSError, AssertionError, subprocess.CalledProcessError) as error:
        raise BenchError(f"the {make.driver} server did not start: {error}") from error
    try:
        fixture.create_database(DATABASE)
        yield fixture
    finally:
        fixture.remove()


@contextlib.contextmanager
def postgresql(build):
    optional_program(build, "bench/floor-pgsql")
    with started(PostgreSQL) as fixture:
        yield Server(fixture, build, str(fixture.folder))


@contextlib.contextmanager
def mariadb(build):
    optional_program(build, "bench/floor-mysql")
    with started(MariaDB) as fixture:
        yield Server(fixture, build, str(fixture.socket))
