"""What greylisting counts, by the statements of each kind of database, without a daemon."""
import os
import pathlib
import subprocess
import tempfile
import time

import pytest

from harness.mariadb import MariaDB
from harness.postgresql import PostgreSQL

SOURCE = pathlib.Path(__file__).resolve().parents[2]
DATABASE = "triplets"

SCENARIOS = [
    "new_triplet_is_first_seen",
    "retry_before_block_expires_is_too_early",
    "retry_after_block_expires_passes",
    "expired_triplet_starts_over",
    "passed_triplet_that_expired_starts_over",
    "other_clients_and_recipients_are_other_triplets",
    "client_that_passed_writes_nothing",
    "client_needs_as_many_triplets_as_configured",
    "other_triplets_of_a_passed_client_are_forgotten",
    "passed_client_lives_on_when_a_tenth_is_gained",
    "one_of_many_at_once_is_first_seen",
    "locks_that_meet_fail_nobody",
]


class SQLite:
    """An empty file."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="postern-sqlite-")
        self.path = pathlib.Path(self.folder.name) / "postern.db"

    @staticmethod
    def is_installed():
        return True

    def create_database(self, _):
        self.path.touch()

    def section(self, _):
        return {"driver": "sqlite", "path": self.path}

    def remove(self):
        self.folder.cleanup()


KINDS = {
    "sqlite": (SQLite, {}),
    "mysql": (MariaDB, {}),
    "mysql-old-tables": (MariaDB, {"tables": "old"}),
    "pgsql": (PostgreSQL, {}),
}


@pytest.fixture(scope="module")
def program():
    path = pathlib.Path(os.environ.get("POSTERN_BUILD", SOURCE / "build-test"))
    path = path / "tests/integration/db_driver_check"
    if not path.exists():
        pytest.skip(f"{path} is not built")
    return path


@pytest.fixture(scope="module", params=KINDS)
def database(request):
    """The server, with the program's parameters that reach it."""
    server, more = KINDS[request.param]
    if not server.is_installed():
        pytest.skip(f"there is no server for {request.param} here")
    running = server()
    running.create_database(DATABASE)
    section = {**running.section(DATABASE), **more, "pool_size": 8}
    section["dbname"] = section.pop("name", DATABASE)
    running.parameters = [f"{key}={value}" for key, value in section.items()]
    yield running
    running.remove()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_triplet(program, database, scenario):
    done = subprocess.run([program, *database.parameters, "deadline=30", scenario], timeout=90, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ended_sessions_fail_no_triplet(program, database):
    if isinstance(database, SQLite):
        pytest.skip("a file has no sessions")
    load = subprocess.Popen([program, *database.parameters, "deadline=20", "rate_of_new_triplets"],
                            stdout=subprocess.PIPE, text=True)
    assert load.stdout.readline() == "ready\n"
    ended = 0
    for _ in range(4):
        time.sleep(1)  # a pace, not a wait
        ended += database.terminate_connections(DATABASE)
    output, _ = load.communicate(timeout=30)
    assert load.returncode == 0, output
    assert ended > 4
