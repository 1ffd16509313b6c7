"""Debian's PostSRSd 1.10, asked over its TCP tables."""
import shutil
import socket
import subprocess

from harness.ports import free_port
from harness.wait import wait_for

PROGRAM = shutil.which("postsrsd", path="/usr/sbin:/usr/bin")
PLAIN = frozenset(b"!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~") | frozenset(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def encode(text):
    return "".join(chr(byte) if byte in PLAIN else f"%{byte:02x}"
                   for byte in text.encode()).encode()


def decode(data):
    first, *rest = data.split(b"%")
    return (first + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in rest)).decode()


class PostSRSd:
    def __init__(self, folder, domain, secrets, *arguments):
        self.ports = {"forward": free_port(), "reverse": free_port()}
        (folder / "postsrsd.secret").write_text("\n".join(secrets) + "\n")
        self.process = subprocess.Popen(
            [PROGRAM, "-4", "-d", domain, "-s", folder / "postsrsd.secret",
             "-f", str(self.ports["forward"]), "-r", str(self.ports["reverse"]), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._answers, "postsrsd to start")

    def _answers(self):
        assert self.process.poll() is None, "postsrsd ended"
        try:
            return self.ask("forward", ["a@remote.example"]) != []
        except OSError:
            return False

    def ask(self, table, keys):
        """What each key is mapped to; None where it is not."""
        found = []
        with socket.create_connection(("127.0.0.1", self.ports[table]), timeout=30) as connection:
            reader = connection.makefile("rb")
            for key in keys:
                connection.sendall(b"get " + encode(key) + b"\n")
                status, _, text = reader.readline().rstrip(b"\r\n").partition(b" ")
                found.append(decode(text) if status == b"200" else None)
        return found

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
