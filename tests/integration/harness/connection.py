"""A client's connection to one of the daemon's services."""
import socket


class ConnectionClosed(Exception):
    """The daemon closed the connection where an answer was due."""


class Connection:
    """Persistent, and strict: a lost connection is an error, not a reason to retry."""

    def __init__(self, address, timeout=60):
        """As in postern.conf: HOST:PORT, [HOST]:PORT or unix:PATH."""
        host, _, port = address.rpartition(":")
        is_unix = address.startswith("unix:")
        family = socket.AF_UNIX if is_unix else (
            socket.AF_INET6 if address.startswith("[") else socket.AF_INET)
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(address.removeprefix("unix:") if is_unix
                            else (host.strip("[]"), int(port)))
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def take(self, length):
        """The next bytes, once that many have come."""
        while len(self.unread) < length:
            self._more()
        taken, self.unread = self.unread[:length], self.unread[length:]
        return taken

    def take_until(self, end):
        """What comes before `end`, which is left out."""
        while end not in self.unread:
            self._more()
        taken, self.unread = self.unread.split(end, 1)
        return taken

    def _more(self):
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            raise ConnectionClosed(f"after {self.unread!r}")
        self.unread += piece

    def is_closed_by_peer(self):
        """Waits for the daemon to close the connection; False when it answers instead."""
        try:
            return not self.unread and self.socket.recv(1) == b""
        except (ConnectionResetError, BrokenPipeError):
            return True
