"""The figures: what is measured, and the rows that it makes."""
import contextlib
import functools
import sqlite3

from . import throttle
from .build import SOURCE, measured, program
from .daemon import DATABASE, WORKERS, posternd, posternd_on_sqlite
from .lists import default_chain
from .load import IDLE_CONNECTIONS, idle_connections, load, measure_rounds
from .process import answers, free_port, give_each_a_core, running, wait_for
from .report import (fiber_rows, floor_latency_rows, load_rows, memory_rows, shared_rows,
                     srs_rows)
from .servers import mariadb, postgresql
from .slow_spf import measure_slow_spf
from .srs import measure_lookups, postern_srs, postsrsd

SCHEMA = SOURCE / "sql/sqlite/iredapd/001_tables.sql"
SHORT_TAIL = ("<", 5)


class Plan:
    """Of one figure: where, in a folder of its own, and for how long."""

    def __init__(self, build, folder, arguments):
        self.build, self.folder = build, folder
        self.seconds, self.rounds = arguments.seconds, arguments.rounds
        self.pool_size = arguments.pool_size

    def load(self, address, mix, expected):
        return load(self.build, address, mix, self.seconds, expected)

    def compare(self, floor, postern):
        """Rounds of both in turn."""
        return measure_rounds({"floor": floor, "postern": postern}, self.rounds)


def measure_memory(plan):
    """A worker as it starts, and what a connection adds to warm ones."""
    with posternd_on_sqlite(plan.build, plan.folder) as postern:
        idle_kb = max(postern.resident_kb())
        load(plan.build, postern.address, "first-seen", 0.5, "defer")
        before = sum(postern.resident_kb())
        with idle_connections(plan.build, postern.address):
            after = sum(postern.resident_kb())
    memory = {"idle_worker_kb": idle_kb, "connection_kb": (after - before) / IDLE_CONNECTIONS}
    return memory, memory_rows(memory)


def measure_fibers(plan):
    fibers = measured([program(plan.build, "bench/bench-fiber")])
    return fibers, fiber_rows(fibers)


@contextlib.contextmanager
def floor_epoll(build):
    address = f"127.0.0.1:{free_port()}"
    command = [program(build, "bench/floor-epoll"), "-a", address, "-p", str(WORKERS)]
    with running(command) as process:
        wait_for(lambda: answers(address), process, "floor-epoll")
        yield address


def measure_dunno(plan):
    with floor_epoll(plan.build) as floor, \
            posternd_on_sqlite(plan.build, plan.folder) as postern:
        give_each_a_core(postern.workers())
        results = plan.compare(lambda: plan.load(floor, "dunno", "dunno"),
                               lambda: plan.load(postern.address, "dunno", "dunno"))
    rows = load_rows("dunno", "epoll floor", results, 0.6, tail_goal=SHORT_TAIL)
    return results, rows + floor_latency_rows("epoll floor", results)


def measure_srs(plan):
    with postsrsd(plan.folder) as other, postern_srs(plan.build, plan.folder) as postern:
        results = measure_rounds({"postsrsd": lambda: measure_lookups(plan, other),
                                  "postern": lambda: measure_lookups(plan, postern)}, plan.rounds)
    return results, srs_rows(results)


def measure_floor_sqlite(plan):
    path = plan.folder / "floor.db"
    result = measured([program(plan.build, "bench/floor-sqlite"), "-d", str(plan.seconds), SCHEMA,
                       path])
    for leftover in plan.folder.glob("floor.db*"):
        leftover.unlink()
    return result


def measure_sqlite(plan):
    with posternd_on_sqlite(plan.build, plan.folder) as postern:
        give_each_a_core(postern.workers())
        results = plan.compare(lambda: measure_floor_sqlite(plan),
                               lambda: plan.load(postern.address, "first-seen", "defer"))
    return results, load_rows("first-seen (SQLite)", "SQLite floor", results, 0.25,
                              tail_goal=SHORT_TAIL)


def measure_lists(plan):
    """The same requests, of clients and senders that no list names."""
    with default_chain(plan.build, plan.folder / "none", False) as without, \
            default_chain(plan.build, plan.folder / "listed", True) as listed:
        results = plan.compare(lambda: plan.load(without.address, "first-seen", "dunno"),
                               lambda: plan.load(listed.address, "first-seen", "dunno"))
    return results, load_rows("100,000 rows listed", "nothing listed", results, 0.8)


def measure_server(started, name, plan):
    with started(plan.build) as server, \
            posternd(plan.build, plan.folder, server.section(plan.pool_size)) as postern:

        def measure_postern():
            server.empty()
            return plan.load(postern.address, "first-seen", "defer")

        results = plan.compare(lambda: server.measure_floor(plan.seconds), measure_postern)
    rows = load_rows(f"first-seen ({name})", f"{name} floor", results, 0.5)
    return results, rows + floor_latency_rows(f"{name} floor", results)


def measure_throttle(plan, postern, name, measure_floor):
    results = measure_rounds(
        {"floor": measure_floor,
         "postern": lambda: plan.load(postern.address, throttle.OWN, "dunno"),
         "shared": lambda: plan.load(postern.address, throttle.SHARED, "dunno")}, plan.rounds)
    title = f"two counters ({name})"
    return results, load_rows(title, f"{name} floor", results, 0.4) + shared_rows(title, results)


def measure_throttle_sqlite(plan):
    with posternd_on_sqlite(plan.build, plan.folder, throttle.PLUGINS) as postern:
        with contextlib.closing(sqlite3.connect(plan.folder / DATABASE)) as database, database:
            database.execute(throttle.SETTINGS)
        give_each_a_core(postern.workers())
        return measure_throttle(plan, postern, "SQLite", lambda: measure_floor_sqlite(plan))


def measure_throttle_server(started, name, plan):
    with started(plan.build) as server, \
            posternd(plan.build, plan.folder, server.section(plan.pool_size),
                     plugins=throttle.PLUGINS) as postern:
        server.execute(throttle.SETTINGS)
        return measure_throttle(plan, postern, name,
                                lambda: server.measure_floor(plan.seconds))


# By the name that --only takes, each a function of a Plan that returns results and rows.
FIGURES = {
    "dunno": measure_dunno,
    "sqlite": measure_sqlite,
    "lists": measure_lists,
    "pgsql": functools.partial(measure_server, postgresql, "PostgreSQL"),
    "mysql": functools.partial(measure_server, mariadb, "MariaDB"),
    "throttle-sqlite": measure_throttle_sqlite,
    "throttle-pgsql": functools.partial(measure_throttle_server, postgresql, "PostgreSQL"),
    "throttle-mysql": functools.partial(measure_throttle_server, mariadb, "MariaDB"),
    "srs": measure_srs,
    "slow-spf": measure_slow_spf,
    "memory": measure_memory,
    "fiber": measure_fibers,
}
