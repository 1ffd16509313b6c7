"""SMTP sessions with Postfix, as an outside client where XCLIENT says so."""
import smtplib
from collections import namedtuple

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
        return _reply(self.smtp.data(MESSAGE.format(sender=sender, recipient=recipients[0],
                                                    subject=subject)))


def send_mail(port, sender, *recipients, client=OUTSIDE, subject="test", login=None):
    """One message in a session of its own."""
    with SmtpSession(port, client, login=login) as session:
        return session.send(sender, *recipients, subject=subject)
