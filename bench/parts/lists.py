"""White- and blacklists as large as in real installations, none of whose entries fits a request."""
import contextlib
import socket
import sqlite3

from .daemon import DATABASE, WORKERS, posternd_on_sqlite
from .process import give_each_a_core

ROWS = 50000
CHAIN = ("reject_null_sender", "wblist_rdns", "greylisting", "throttle", "wblist")


def network(number):
    """
    Of all lengths from 24 to 32, and beside the clients of the load, whose first two octets are
    these, but whose third is 100 at least: no shortcut leads past them.
    """
    first, second, third = 128 + number % 64, 100 + number // 64 % 150, number // 9600
    return f"{first}.{second}.{third}.0/{24 + number % 9}"


def sender(number):
    """Four of five are addresses."""
    return network(number) if number % 5 == 0 else f"n{number}@listed{number % 1000}.example"


def fill(connection):
    connection.executemany("INSERT INTO greylisting_whitelists (account, sender) VALUES ('@.', ?)",
                           ((network(number),) for number in range(ROWS)))
    connection.execute("INSERT INTO users (id, email, priority) VALUES (1, '@.', 0)")
    connection.executemany("INSERT INTO mailaddr (id, email, priority) VALUES (?, ?, 7)",
                           ((number + 1, sender(number)) for number in range(ROWS)))
    connection.execute("INSERT INTO wblist (rid, sid, wb) SELECT 1, id, 'B' FROM mailaddr")


def make_read(address):
    """Has all workers read the lists: each gets some of many connections."""
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
                   for _ in range(8 * WORKERS)]
        for client in clients:
            client.sendall(b"request=smtpd_access_policy\nprotocol_state=RCPT\nsender=a@b.example\n"
                           b"recipient=c@d.example\nclient_address=192.0.2.1\n\n")
        for client in clients:
            client.recv(4096)


@contextlib.contextmanager
def default_chain(build, folder, listed):
    """With greylisting off for everybody, so that a request is answered from memory alone."""
    folder.mkdir()
    folder.parent.chmod(0o755)
    plugins = [name for name in CHAIN if (build / f"plugins/{name}.so").exists()]
    with posternd_on_sqlite(build, folder, plugins) as postern:
        with contextlib.closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
            connection.execute("DELETE FROM greylisting")
            if listed:
                fill(connection)
        give_each_a_core(postern.workers())
        make_read(postern.address)
        yield postern
