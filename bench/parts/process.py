"""Programs that run while something is measured."""
import contextlib
import os
import pathlib
import socket
import subprocess
import time

from .errors import BenchError

START_SECONDS = 20
STOP_SECONDS = 40


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        stop(process)


def stop(process):
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(ready, process, what, log=None):
    end = time.monotonic() + START_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            said = log.read_text(errors="replace")[-2000:] if log else ""
            raise BenchError(f"{what} did not start\n{said}")
        time.sleep(0.02)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


POLICY_QUESTION = b"request=smtpd_access_policy\nprotocol_state=VRFY\n\n"


def answers(address, question=POLICY_QUESTION, answer=b"action="):
    """True when the question gets a reply that begins so."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=2) as client:
            client.sendall(question)
            return client.recv(4096).startswith(answer)
    except OSError:
        return False


def give_each_a_core(pids):
    """
    Two busy processes that the kernel puts on one core take turns of a whole tick (4 ms), and the
    tail of the latencies is that of the tick, not of what is measured.
    """
    cores = sorted(os.sched_getaffinity(0))
    for number, pid in enumerate(pids):
        os.sched_setaffinity(int(pid), {cores[number % len(cores)]})


def worker_pids(master):
    children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return [pid for pid in children
            if "worker" in pathlib.Path(f"/proc/{pid}/comm").read_text()]


def resident_kb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise BenchError(f"process {pid} ended while it was measured")
