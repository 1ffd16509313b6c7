"""The client's side of the policy protocol, as Postfix speaks it or as it should not."""
from harness.connection import Connection

RCPT = {
    "request": "smtpd_access_policy",
    "protocol_state": "RCPT",
    "protocol_name": "ESMTP",
    "helo_name": "mx.sender.example",
    "queue_id": "",
    "sender": "alice@sender.example",
    "recipient": "bob@example.org",
    "recipient_count": "0",
    "client_address": "192.0.2.7",
    "client_name": "mx.sender.example",
    "reverse_client_name": "mx.sender.example",
    "instance": "1.2.3",
    "sasl_method": "",
    "sasl_username": "",
    "sasl_sender": "",
    "size": "0",
    "client_port": "40000",
    "server_address": "127.0.0.1",
    "server_port": "25",
}


def rcpt(**attributes):
    """A RCPT request of an outside client, with these attributes changed."""
    return {**RCPT, **attributes}


def end_of_message(**attributes):
    real = {"protocol_state": "END-OF-MESSAGE", "size": "1024", "recipient_count": "1"}
    return {**RCPT, **real, **attributes}


def encode(request):
    """The bytes of a request; values may be bytes where text can't say it."""
    lines = [name.encode() + b"=" + (value if isinstance(value, bytes) else str(value).encode())
             for name, value in request.items()]
    return b"\n".join(lines) + b"\n\n"


class PolicyClient(Connection):
    def read_action(self):
        """The text after "action=" of the next reply."""
        reply = self.take_until(b"\n\n")
        name, _, action = reply.partition(b"=")
        assert name == b"action" and b"\n" not in reply, f"not a reply: {reply!r}"
        return action.decode()

    def request(self, attributes):
        """The answer to one request, given as a dict."""
        self.send(encode(attributes))
        return self.read_action()

    def rcpt(self, **attributes):
        return self.request(rcpt(**attributes))
