"""SMTP sessions with Postfix, as an outside client where XCLIENT says so."""
import smtplib
import socketserver
import threading
from collections import namedtuple

from harness.wait import wait_for

OUTSIDE = "192.0.2.7"
LOOPBACK = None  # no XCLIENT: the address that we really have

MESSAGE = "From: {sender}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\nHello\r\n"

Reply = namedtuple("Reply", "code text")


def _reply(answer):
    return Reply(answer[0], answer[1].decode(errors="replace"))


class SmtpSession:
    """One connection, for any number of messages."""

    def __init__(self, port, client=OUTSIDE, helo="mx.sender.example", login=None):
        """login: a user and a password."""
        self.smtp = smtplib.SMTP("127.0.0.1", port, local_hostname=helo, timeout=120)
        self.smtp.ehlo()
        if client is not LOOPBACK:
            code, text = self.smtp.docmd("XCLIENT", f"NAME={helo} ADDR={client}")
            assert code == 220, text
            self.smtp.ehlo()
        if login:
            self.smtp.login(*login)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.smtp.close()

    def send(self, sender, *recipients, subject="test"):
        """The reply that decided: of the first recipient refused, else of the whole message."""
        reply = _reply(self.smtp.mail(sender))
        for recipient in recipients:
            if reply.code == 250:
                reply = _reply(self.smtp.rcpt(recipient))
        if reply.code != 250:
            self.smtp.rset()
            return reply
        reply = _reply(self.smtp.data(MESSAGE.format(sender=sender, recipient=recipients[0],
                                                     subject=subject)))
        if reply.code != 250:
            self.smtp.rset()
        return reply


def send_mail(port, sender, *recipients, client=OUTSIDE, subject="test", login=None):
    """One message in a session of its own."""
    with SmtpSession(port, client, login=login) as session:
        return session.send(sender, *recipients, subject=subject)


Mail = namedtuple("Mail", "sender recipients text")


class _SinkSession(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def address(self, argument):
        return argument.partition("<")[2].partition(">")[0]

    def read_text(self):
        lines = iter(self.rfile.readline, b".\r\n")
        return b"".join(lines).decode(errors="replace").replace("\r\n", "\n")

    def handle(self):
        sender, recipients = None, []
        self.say("220 sink.example ESMTP")
        for line in self.rfile:
            command, _, argument = line.decode(errors="replace").strip().partition(" ")
            command = command.upper()
            if command == "MAIL":
                sender, recipients = self.address(argument), []
            elif command == "RCPT" and self.address(argument) in self.server.refused:
                self.say("550 5.1.1 no such user")
                continue
            elif command == "RCPT":
                recipients.append(self.address(argument))
            elif command == "DATA":
                self.say("354 go on")
                self.server.mails.append(Mail(sender, recipients, self.read_text()))
            self.say("221 bye" if command == "QUIT" else "250 ok")
            if command == "QUIT":
                return


class SmtpSink(socketserver.ThreadingTCPServer):
    """A mail server that keeps all mail; of `refused` addresses it knows none."""

    daemon_threads = allow_reuse_address = True

    def __init__(self, port):
        super().__init__(("127.0.0.1", port), _SinkSession)
        self.mails, self.refused = [], set()
        self.thread = threading.Thread(target=self.serve_forever)
        self.thread.start()

    def clear(self):
        self.mails.clear()
        self.refused.clear()

    def wait_for_mail(self):
        """The only one."""
        wait_for(lambda: self.mails, "a mail to arrive at the next hop")
        mail, = self.mails
        return mail

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()
