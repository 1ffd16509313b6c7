"""The client's side of the SRS services, and addresses as another implementation signs them."""
import base64
import hashlib
import hmac
from collections import namedtuple

from harness.connection import Connection
from harness.ports import free_port

DOMAIN, SECRET = "srs.example.org", "a secret of the tests, long enough"
DAY = 24 * 3600
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

Answer = namedtuple("Answer", "status text")  # status: 200, 400, 500 or OK, NOTFOUND, TEMP, PERM


def srs_section(**settings):
    """A section `srs` with all services on."""
    ports = {f"listen_{name}": f"127.0.0.1:{free_port()}"
             for name in ("forward", "reverse", "socketmap")}
    return {"domain": DOMAIN, "secrets": [SECRET], **ports, **settings}


def sign(sender, now, secret=SECRET, domain=DOMAIN):
    """The SRS0 address of a sender."""
    local, _, host = sender.rpartition("@")
    day = now // DAY % 1024
    stamp = _BASE32[day >> 5] + _BASE32[day & 31]
    digest = hmac.digest(secret.encode(), (stamp + host + local).lower().encode(), hashlib.sha1)
    return f"SRS0={base64.b64encode(digest)[:4].decode()}={stamp}={host}={local}@{domain}"


def quote(text):
    """%XX coding of tcp_table(5)."""
    data = text if isinstance(text, bytes) else text.encode()
    return b"".join(b"%%%02X" % byte if byte <= 0x20 or byte >= 0x7f or byte == 0x25
                    else bytes([byte]) for byte in data)


def unquote(data):
    head, *codes = data.split(b"%")
    return head + b"".join(bytes([int(code[:2], 16)]) + code[2:] for code in codes)


def netstring(data):
    return b"%d:%s," % (len(data), data)


class _Client(Connection):
    def request(self, key):
        self.send(self.encode(key))
        return self.read_answer()


class TcpTable(_Client):
    FOUND, NOT_FOUND, TRY_AGAIN, BROKEN = "200", "500", "400", "500"

    def encode(self, key):
        return b"get " + quote(key) + b"\n"

    def read_answer(self):
        line = self.take_until(b"\n")
        assert len(line) < 4096, f"longer than Postfix reads: {line!r}"
        assert line[3:4] == b" " and b" " not in line[4:], f"not a reply: {line!r}"
        return Answer(line[:3].decode(), unquote(line[4:]).decode())


class Socketmap(_Client):
    FOUND, NOT_FOUND, TRY_AGAIN, BROKEN = "OK", "NOTFOUND", "TEMP", "PERM"

    def __init__(self, address, map_name="forward", **options):
        super().__init__(address, **options)
        self.map = map_name.encode()

    def encode(self, key):
        data = key if isinstance(key, bytes) else key.encode()
        return netstring(self.map + b" " + data)

    def read_answer(self):
        length = int(self.take_until(b":"))
        content = self.take(length + 1)
        assert content[-1:] == b",", f"not a netstring: {content!r}"
        status, _, text = content[:-1].partition(b" ")
        return Answer(status.decode(), text.decode())


def connect(daemon, service, direction="forward"):
    """A client of the daemon's tcp_table or socketmap service."""
    section = daemon.sections["srs"]
    if service == "tcp_table":
        return TcpTable(section[f"listen_{direction}"])
    return Socketmap(section["listen_socketmap"], direction)
