"""A syslog of the test's own."""
import os
import socket

from harness.wait import wait_for


class SyslogServer:
    """A datagram socket in the place of /dev/log."""

    def __init__(self, path):
        self.path, self.lines = str(path), []
        self.open()

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.settimeout(0.05)

    def close(self):
        self.socket.close()
        os.unlink(self.path)

    def wait_for(self, text):
        """The first message that holds text."""
        def received():
            try:
                while True:
                    self.lines.append(self.socket.recv(65536).decode())
            except TimeoutError:
                return next((line for line in self.lines if text in line), None)
        return wait_for(received, f"{text!r} in syslog")
