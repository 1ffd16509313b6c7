"""postern-load, and rounds of it."""
import contextlib
import subprocess
import sys

from .build import measured, program
from .errors import BenchError
from .process import running

CONNECTIONS = 32
WARMUP_SECONDS = 0.5
IDLE_CONNECTIONS = 1000


def load(build, address, mix, seconds, expected, connections=CONNECTIONS):
    """One run of postern-load, which must get the expected action and no other."""
    result = measured([program(build, "bench/postern-load"), "-a", address, "-c", str(connections),
                       "-d", str(seconds), "--warmup", str(WARMUP_SECONDS), "-m", mix, "--json"])
    if set(result["actions"]) != {expected}:
        raise BenchError(f"-m {mix} should be answered {expected}, got {result['actions']}")
    return result


@contextlib.contextmanager
def idle_connections(build, address):
    """Each has made one greylisting request."""
    command = [program(build, "bench/postern-load"), "-a", address, "-c", "0", "-d", "600",
               "-m", "first-seen", "--idle", str(IDLE_CONNECTIONS), "--idle-request"]
    with running(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        said = process.stderr.readline()
        if not said.startswith("holding"):
            raise BenchError(f"opening idle connections: {said}")
        yield


def measure_rounds(measures, rounds):
    """measures: name to function. All of them in turn, round after round."""
    results = {name: [] for name in measures}
    for number in range(rounds):
        for name, measure in measures.items():
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
            results[name].append(measure())
    return results
