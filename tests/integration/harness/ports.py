"""Free TCP ports, below the range that the kernel takes clients' ports from."""
import random
import socket

_given = set()


def free_port():
    """A port nobody listens on; none is given twice in a session."""
    while True:
        port = random.randint(15000, 30000)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
