"""
A DNS server of the tests' own, with zones of their choosing. It needs nothing but Python, so that
it can also run as a program: `dns.py [--listen IP:PORT] ZONES.json` prints its address, serves until
its input ends, and then prints what it was asked.

Zones are a dict of names (lower case) to what they have:

    {"example.com": {"A": ["192.0.2.1"], "MX": [[10, "mx.example.com"]], "TXT": ["v=spf1 -all"]},
     "www.example.com": {"CNAME": ["example.com"]},
     "*.slow.example": {"TXT": ["v=spf1 -all"], "delay": 2.5}}

Types are A, AAAA, MX, TXT, PTR, CNAME, NS and SOA. A TXT is a text or a list of its strings; a
long text is cut into strings. A name below "*.NAME" has what that has, unless it has its own. What
a name does besides, in lower case:

    ttl: seconds              of its records (300)
    negative_ttl: seconds     of "no such type" and "no such name" (60); None: sent without a SOA
    delay: seconds            each answer comes that late
    silent: true              it never answers
    silent_times: n           it does not answer the first n queries
    silent_after: n           it answers none but the first n queries
    rcode: "SERVFAIL"         or any other of RCODES, with no records; FORMERR with an OPT record
    truncated: true           an answer by UDP is empty, with the TC bit; all by TCP
    tcp: false                connections that ask for it are closed without an answer
    other_id: true            the answer has another transaction id
    other_question: NAME      the question in the answer is for this name
    other_owner: NAME         the records in the answer belong to this name
    loop: true                the records' owner is a compression pointer to itself
    follow: false             an alias is answered with its CNAME record alone
    edns: false               FORMERR for queries with an OPT record
    raw: HEX                  what follows the header and the question, in hexadecimal; `counts`
                              are then the three counts of the header ([1, 0, 0])
"""
import argparse
import collections
import heapq
import ipaddress
import itertools
import json
import select
import socket
import struct
import sys
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28,
         "OPT": 41}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
RCODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}
FOLLOWED = 32  # aliases in one answer
TTL, NEGATIVE_TTL = 300, 60
UDP_SIZE = 512

Query = collections.namedtuple("Query", "id name type type_number question edns udp_size")


# --- wire format ---

def encode_name(name):
    if name in ("", "."):
        return b"\0"
    parts = [part.encode("latin-1") for part in name.rstrip(".").split(".")]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def encode_text(text):
    """The strings of one TXT record."""
    if isinstance(text, str):
        text = text.encode("latin-1")
    if isinstance(text, bytes):
        text = [text[i:i + 255] for i in range(0, len(text), 255)] or [b""]
    parts = [part.encode("latin-1") if isinstance(part, str) else part for part in text]
    return b"".join(bytes([len(part)]) + part for part in parts)


def encode_soa(minimum):
    return (encode_name("ns.test") + encode_name("admin.test")
            + struct.pack("!5I", 1, 3600, 600, 86400, minimum))


def encode_data(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "MX":
        return struct.pack("!H", value[0]) + encode_name(value[1])
    if kind == "TXT":
        return encode_text(value)
    if kind == "SOA":
        return encode_soa(value)
    return encode_name(value)


def encode_record(owner, kind, ttl, data):
    return owner + struct.pack("!HHIH", TYPES[kind], 1, ttl, len(data)) + data


def decode_query(data):
    """None when it is not one query of class IN."""
    if len(data) < 17 or data[2] & 0x80 or data[4:6] != b"\0\1":
        return None
    at, labels = 12, []
    while at < len(data) and data[at] != 0:
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    question = data[12:at + 5]
    number = int.from_bytes(data[at + 1:at + 3], "big")
    edns = data[10:12] == b"\0\1"
    size = int.from_bytes(data[at + 8:at + 10], "big") if edns else UDP_SIZE
    return Query(data[:2], ".".join(labels).lower(), TYPE_NAMES.get(number, str(number)), number,
                 question, edns, max(size, UDP_SIZE))


# --- answers ---

class Zones:
    def __init__(self, names):
        self.names = {}
        self.parents = set()  # names that exist because something is below them
        self.update(names)

    def update(self, names):
        for name, content in names.items():
            name = name.lower().rstrip(".")
            self.names[name] = content
            while "." in name:
                name = name.partition(".")[2]
                self.parents.add(name)

    def find(self, name):
        """What the name has; None when there is no such name."""
        if name in self.names:
            return self.names[name]
        if name in self.parents:
            return {}
        while "." in name:
            name = name.partition(".")[2]
            if "*." + name in self.names:
                return self.names["*." + name]
        return None

    def follow(self, name, kind):
        """The records of the answer: (owner, type, ttl, data), and the last name of the chain."""
        records = []
        for _ in range(FOLLOWED):
            content = self.find(name) or {}
            ttl = content.get("ttl", TTL)
            target = content.get("CNAME")
            if target is None or kind == "CNAME":
                records += [(name, kind, ttl, encode_data(kind, value))
                            for value in content.get(kind, [])]
                break
            records.append((name, "CNAME", ttl, encode_data("CNAME", target[0])))
            name = target[0].lower()
            if not content.get("follow", True):
                break
        return records, name


def header(query, rcode, counts, truncated=False):
    flags = 0x8180 | (0x0200 if truncated else 0) | rcode
    return struct.pack("!H4H", flags, 1, *counts)


def authority_section(content):
    ttl = content.get("negative_ttl", NEGATIVE_TTL)
    return [] if ttl is None else [encode_record(encode_name(""), "SOA", ttl, encode_soa(ttl))]


def answer_sections(zones, query, content):
    """rcode, records of the answer as bytes, records of the authority section as bytes."""
    if "rcode" in content:
        negative = content["rcode"] in ("NXDOMAIN", "NOERROR")
        return RCODES[content["rcode"]], [], authority_section(content) if negative else []
    if query.edns and not content.get("edns", True):
        return RCODES["FORMERR"], [], []
    records, last = zones.follow(query.name, query.type)
    owners = {query.name: b"\xc0\x0c"}
    if "other_owner" in content:
        owners[query.name] = encode_name(content["other_owner"])
    if content.get("loop"):
        at = (12 + len(query.question)) | 0xc000
        owners[query.name] = struct.pack("!H", at)
    encoded = [encode_record(owners.get(owner) or encode_name(owner), kind, ttl, data)
               for owner, kind, ttl, data in records]
    if records and records[-1][1] == query.type:
        return 0, encoded, []
    if records and not content.get("follow", True):
        return 0, encoded, []
    end = zones.find(last)
    return RCODES["NXDOMAIN" if end is None else "NOERROR"], encoded, authority_section(end or {})


def opt_record(query):
    return b"\0" + struct.pack("!HHIH", TYPES["OPT"], 1232, 0, 0)


def answer(zones, query, content, by_udp):
    identity = bytes([query.id[0] ^ 0xff, query.id[1]]) if content.get("other_id") else query.id
    question = query.question
    if "other_question" in content:
        question = encode_name(content["other_question"]) + question[-4:]
    if "raw" in content:
        counts = content.get("counts", [1, 0, 0])
        return identity + header(query, 0, counts) + question + bytes.fromhex(content["raw"])
    rcode, records, authority = answer_sections(zones, query, content)
    knows_edns = rcode != RCODES["FORMERR"] or "rcode" in content
    extra = [opt_record(query)] if query.edns and knows_edns else []
    counts = (len(records), len(authority), len(extra))
    whole = identity + header(query, rcode, counts) + question + b"".join(
        records + authority + extra)
    if not by_udp or (len(whole) <= query.udp_size and not content.get("truncated")):
        return whole
    return identity + header(query, rcode, (0, 0, len(extra)), True) + question + b"".join(extra)


# --- serving ---

class Later:
    """Runs functions at their time, in one thread."""

    def __init__(self):
        self.heap, self.order = [], itertools.count()
        self.changed, self.ended = threading.Condition(), False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def call(self, seconds, function):
        with self.changed:
            heapq.heappush(self.heap, (time.monotonic() + seconds, next(self.order), function))
            self.changed.notify()

    def _next(self):
        with self.changed:
            while not self.ended:
                wait = self.heap[0][0] - time.monotonic() if self.heap else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self.heap)[2]
                self.changed.wait(wait)
        return None

    def _run(self):
        while (function := self._next()) is not None:
            function()

    def close(self):
        with self.changed:
            self.ended = True
            self.changed.notify()
        self.thread.join()


def bind(ip, port):
    """A UDP and a TCP socket of one port, any where port is 0."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    for _ in range(100):
        udp, tcp = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            udp.bind((ip, port))
            tcp.bind((ip, udp.getsockname()[1]))
            tcp.listen(1024)
            return udp, tcp
        except OSError:
            udp.close()
            tcp.close()
            if port != 0:
                raise
    raise OSError("no port is free for both UDP and TCP")


def grow_receive_buffer(udp):
    """A burst of some thousand queries must not be lost; root may have as much as that takes."""
    for option in (socket.SO_RCVBUF, getattr(socket, "SO_RCVBUFFORCE", 33)):
        try:
            udp.setsockopt(socket.SOL_SOCKET, option, 16 * 1024 * 1024)
        except OSError:
            pass


def read_exactly(connection, length):
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            return None
        data += piece
    return data


class DnsServer:
    """Serves from when it is made until close(); `with` closes it."""

    def __init__(self, names=None, ip="127.0.0.1", port=0):
        self.zones = Zones(names or {})
        self.udp, self.tcp = bind(ip, port)
        grow_receive_buffer(self.udp)
        self.ip, self.port = ip, self.udp.getsockname()[1]
        self.asked = collections.Counter()    # (name, type): queries
        self.by_tcp = collections.Counter()   # (name, type): those by TCP
        self.sources = collections.Counter()  # (ip, port) of UDP queries
        self.lock, self.later, self.closed = threading.Lock(), Later(), False
        self.wake, self.woken = socket.socketpair()
        self.threads = [threading.Thread(target=run, daemon=True)
                        for run in (self._serve_udp, self._serve_tcp)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Takes no more queries; what is late is not sent."""
        if self.closed:
            return
        self.closed = True
        self.wake.send(b"x")
        for thread in self.threads:
            thread.join()
        self.later.close()
        for each in (self.udp, self.tcp, self.wake, self.woken):
            each.close()

    @property
    def address(self):
        """As `dns { servers }` wants it."""
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    def section(self, timeout="3s"):
        """Settings of the section `dns`."""
        return {"servers": [self.address], "timeout": timeout}

    # --- what tests change and ask ---

    def set(self, name, **content):
        """All that the name has from now on."""
        with self.lock:
            self.zones.update({name: content})

    def update(self, names):
        with self.lock:
            self.zones.update(names)

    def remove(self, name):
        with self.lock:
            self.zones.names.pop(name, None)

    def count(self, name=None, kind=None):
        """Queries received so far for the name and type; None: any."""
        with self.lock:
            return sum(count for (asked, asked_kind), count in self.asked.items()
                       if name in (None, asked) and kind in (None, asked_kind))

    def forget_counts(self):
        with self.lock:
            self.asked.clear()
            self.by_tcp.clear()
            self.sources.clear()

    # --- serving ---

    def _note(self, query, source, by_udp):
        key = (query.name, query.type)
        self.asked[key] += 1
        if by_udp:
            self.sources[source] += 1
        else:
            self.by_tcp[key] += 1
        return self.asked[key]

    def _handle(self, data, source, by_udp, send, close):
        query = decode_query(data)
        if query is None:
            return
        with self.lock:
            times = self._note(query, source, by_udp)
            content = self.zones.find(query.name) or {}
            if content.get("silent") or times <= content.get("silent_times", 0):
                return
            if times > content.get("silent_after", times):
                return
            if not by_udp and not content.get("tcp", True):
                close()
                return
            reply = answer(self.zones, query, content, by_udp)
        delay = content.get("delay", 0)
        if delay > 0:
            self.later.call(delay, lambda: send(reply))
        else:
            send(reply)

    def _send_udp(self, reply, source):
        try:
            self.udp.sendto(reply, source)
        except OSError:
            pass  # whoever asked has left

    def _serve_udp(self):
        while select.select([self.udp, self.woken], [], [])[0] and not self.closed:
            data, source = self.udp.recvfrom(65535)
            self._handle(data, source, True, lambda reply, to=source: self._send_udp(reply, to),
                         None)

    def _serve_tcp(self):
        while select.select([self.tcp, self.woken], [], [])[0] and not self.closed:
            connection, source = self.tcp.accept()
            threading.Thread(target=self._serve_connection, args=(connection, source),
                             daemon=True).start()

    def _serve_connection(self, connection, source):
        def send(reply):
            try:
                connection.sendall(struct.pack("!H", len(reply)) + reply)
            except OSError:
                pass

        def close():
            connection.shutdown(socket.SHUT_RDWR)

        with connection:
            try:
                while (length := read_exactly(connection, 2)) is not None:
                    data = read_exactly(connection, int.from_bytes(length, "big"))
                    if data is None:
                        return
                    self._handle(data, source, False, send, close)
            except OSError:
                pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="IP:PORT")
    parser.add_argument("zones", metavar="ZONES.json")
    arguments = parser.parse_args()
    ip, _, port = arguments.listen.rpartition(":")
    with open(arguments.zones, encoding="utf-8") as file:
        zones = json.load(file)
    with DnsServer(zones, ip.strip("[]"), int(port)) as server:
        print(server.address, flush=True)
        sys.stdin.read()
        json.dump({f"{name} {kind}": count for (name, kind), count in server.asked.items()},
                  sys.stdout)


if __name__ == "__main__":
    main()
