"""The client's side of the policy protocol, as Postfix speaks it or as it should not."""
import socket

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


class ConnectionClosed(Exception):
    """The daemon closed the connection where an answer was due."""


class PolicyClient:
    """One persistent connection. Strict: a lost connection is an error, not a reason to retry."""

    def __init__(self, address, timeout=60):
        """address: (host, port), or the path of a Unix socket."""
        family = socket.AF_UNIX if isinstance(address, str) else (
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read_action(self):
        """The text after "action=" of the next reply."""
        while b"\n\n" not in self.unread:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise ConnectionClosed(f"after {self.unread!r}")
            self.unread += piece
        reply, self.unread = self.unread.split(b"\n\n", 1)
        name, _, action = reply.partition(b"=")
        assert name == b"action" and b"\n" not in reply, f"not a reply: {reply!r}"
        return action.decode()

    def request(self, attributes):
        """The answer to one request, given as a dict."""
        self.send(encode(attributes))
        return self.read_action()

    def rcpt(self, **attributes):
        return self.request(rcpt(**attributes))

    def is_closed_by_peer(self):
        """Waits for the daemon to close the connection; False when it answers instead."""
        try:
            return self.socket.recv(1) == b""
        except (ConnectionResetError, BrokenPipeError):
            return True
