"""An SMTP server of the test's own, with STARTTLS and AUTH PLAIN; it keeps what it is sent."""
import base64
import contextlib
import socketserver
import ssl
import subprocess
import threading
from dataclasses import dataclass, field

from harness.wait import wait_for


def make_certificate(folder):
    """A certificate for localhost that is its own CA, and its key."""
    certificate, key = folder / "smtp.crt", folder / "smtp.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@dataclass
class Received:
    sender: str = ""
    recipients: list = field(default_factory=list)
    data: bytes = b""
    login: str = ""
    tls: bool = False


class _Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.mail, self.login, self.tls = Received(), "", False
        with contextlib.suppress(OSError, ValueError):
            self.stall_at("connect")
            if self.server.settings.tls == "smtps":
                self.secure()
            self.say("220 localhost ESMTP")
            while line := self.rfile.readline(4096).decode().strip():
                verb, _, rest = line.partition(" ")
                if verb.upper() == "QUIT":
                    self.server.settings.quits += 1
                    self.say("221 bye")
                    return
                getattr(self, "do_" + verb.lower(), self.refuse)(rest)

    def say(self, *lines):
        self.wfile.write("".join(line + "\r\n" for line in lines).encode())

    def stall_at(self, place):
        """Says no more, if this is the place for it, until the client is gone."""
        if self.server.settings.stall == place:
            self.server.settings.stalled.set()
            self.rfile.read()
            raise OSError

    def refuse(self, _):
        self.say("502 5.5.1 not here")

    def secure(self):
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.tls = True

    def do_ehlo(self, _):
        offers = ["STARTTLS"] if self.server.settings.tls == "starttls" and not self.tls else []
        offers += ["AUTH PLAIN"] if self.server.settings.users else []
        words = ["localhost", *offers, "SIZE 1000000"]
        self.say(*[f"250-{word}" for word in words[:-1]], f"250 {words[-1]}")

    def do_starttls(self, _):
        self.say("220 go ahead")
        self.secure()

    def do_auth(self, rest):
        code = rest.partition(" ")[2]
        if not code:
            self.say("334 ")
            code = self.rfile.readline(4096).decode().strip()
        _, user, password = base64.b64decode(code).decode().split("\0")
        self.server.settings.logins.append((user, password, self.tls))
        if self.server.settings.users.get(user) != password:
            self.say("535 5.7.8 wrong password")
            return
        self.login = user
        self.say("235 welcome")

    def do_mail(self, rest):
        self.mail = Received(sender=rest[rest.index("<") + 1:rest.index(">")], login=self.login,
                             tls=self.tls)
        if self.server.settings.users and not self.login:
            self.say("530 5.7.0 log in first")
        else:
            self.say("250 ok")

    def do_rcpt(self, rest):
        recipient = rest[rest.index("<") + 1:rest.index(">")]
        if recipient in self.server.settings.unknown:
            self.say(f"550 5.1.1 <{recipient}> is unknown")
            return
        self.mail.recipients.append(recipient)
        self.say("250 ok")

    def do_data(self, _):
        self.say("354 go on")
        lines = []
        while (line := self.rfile.readline(4096)) != b".\r\n":
            assert line, "the client is gone"
            lines.append(line.removeprefix(b"."))
        self.stall_at("data")
        self.mail.data = b"".join(lines)
        self.server.settings.received.append(self.mail)
        self.say("250 kept")


class SmtpServer:
    """
    tls: "", "starttls" or "smtps". users: name to password; with any, a login is needed. stall: where
    it says no more, "connect" or after the "data".
    """

    def __init__(self, certificate=None, tls="", users=None, unknown=(), stall=""):
        self.tls, self.users, self.unknown, self.stall = tls, users or {}, unknown, stall
        self.received, self.logins, self.quits, self.stalled = [], [], 0, threading.Event()
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Session)
        self.server.daemon_threads, self.server.settings = True, self
        if certificate:
            self.server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.server.context.load_cert_chain(*certificate)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait_for_mails(self, count):
        wait_for(lambda: len(self.received) >= count, f"{count} mails by SMTP")
        assert len(self.received) == count
        return self.received

    def close(self):
        self.server.shutdown()
        self.server.server_close()
