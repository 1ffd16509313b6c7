"""Fixtures: a posternd per test, one Postfix for all of them."""
import contextlib
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness.daemon import Daemon, give_to_daemon
from harness.dovecot import Dovecot
from harness.database import ServerBackend, SqliteBackend
from harness.mariadb import MariaDB
from harness.postfix import Postfix
from harness.postgresql import PostgreSQL
from harness.syslog import SyslogServer

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BACKENDS = {"sqlite": SqliteBackend,
            "pgsql": lambda: ServerBackend(PostgreSQL()),
            "mysql": lambda: ServerBackend(MariaDB())}


def pytest_addoption(parser):
    parser.addoption("--part", choices=["servers", "rest"],
                     help="only the tests that use the session's database servers, or all others")


def pytest_collection_modifyitems(config, items):
    part = config.getoption("--part")
    if part is not None:
        items[:] = [item for item in items
                    if ("backend" in item.fixturenames) == (part == "servers")]


def make_folder():
    """The daemon's user must get in, and paths of sockets must stay short."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postern-", dir="/tmp"))
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def source():
    return SOURCE


@pytest.fixture(scope="session")
def build():
    folder = pathlib.Path(os.environ.get("POSTERN_BUILD", SOURCE / "build-test")).resolve()
    if not (folder / "src/posternd").exists():
        pytest.exit(f"there is no posternd in {folder}; build it with scripts/test", 2)
    return folder


@contextlib.contextmanager
def temporary_folder():
    """Writable by the daemon's user."""
    path = make_folder()
    give_to_daemon(path)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def daemons(build, folder):
    """
    Makes daemons: make(plugins=[...], options={...}, key=value...). With the embedded database
    unless `database` is given; start=False and init=False leave those steps to the test. All are
    stopped, and judged, at the end.
    """
    made = []

    def make(start=True, init=True, database=None, **settings):
        place = folder / f"d{len(made)}"
        place.mkdir()
        give_to_daemon(place)
        if database is None:
            database = SqliteBackend().create(place)
        daemon = Daemon(build, place, database=database, **settings)
        made.append(daemon)
        if init:
            daemon.init_database()
        return daemon.start() if start else daemon

    yield make
    failures = []
    for daemon in made:
        try:
            daemon.teardown()
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


@pytest.fixture
def folder():
    with temporary_folder() as path:
        yield path


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request):
    """Each server is started once."""
    made = BACKENDS[request.param]()
    yield made
    made.remove()


@pytest.fixture
def database(backend, folder):
    """An empty database, to be filled by `posternctl db init`."""
    return backend.create(folder)


@pytest.fixture
def databases(backend, folder):
    """The same with the other two: `databases.amavisd`, and `databases.vmail` with its tables."""
    return backend.create(folder, "amavisd", "vmail")


@pytest.fixture
def postern(build, folder):
    """Makes daemons for one test; see daemons()."""
    with daemons(build, folder) as make:
        yield make


@pytest.fixture(scope="module")
def shared_folder():
    with temporary_folder() as path:
        yield path


@pytest.fixture(scope="module")
def shared_postern(build, shared_folder):
    """Makes daemons for all tests of a module."""
    with daemons(build, shared_folder) as make:
        yield make


@pytest.fixture
def syslog(folder):
    server = SyslogServer(folder / "log")
    yield server
    server.close()


@pytest.fixture(scope="session")
def postfix_server():
    place = make_folder()
    server = Postfix(place)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(place)


@pytest.fixture(scope="session")
def dovecot(postfix_server):
    """Takes the logins of Postfix's submission."""
    place = make_folder()
    server = Dovecot(place, postfix_server.sasl)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(place)


@pytest.fixture
def postfix(postfix_server):
    """The running Postfix, with no mail from an earlier test."""
    postfix_server.clear()
    return postfix_server
