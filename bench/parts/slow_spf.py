"""Ordinary mail beside senders whose SPF records take all the time that an evaluation has."""
import contextlib
import json
import os
import subprocess
import sys
import time

from .build import SOURCE, program
from .daemon import DATABASE, posternd
from .errors import BenchError, LeftOut
from .load import load, measure_rounds
from .process import give_each_a_core, wait_for
from .report import quantile, row

SLOW, ORDINARY, MANY = 200, 16, 1000  # connections
WARMUP_SECONDS = 4                    # until the resolvers know all ordinary domains
LIMIT = 5                             # spf_timeout, seconds
LATE = 0.5                            # of each answer: eleven of them are more than the limit
PLUGINS = ("reject_null_sender", "spf", "greylisting")

# Each record includes another that nobody has asked for yet.
ZONES = {
    "*.slow.example": {"TXT": ["v=spf1 include:n.%{d} -all"], "delay": LATE},
    "*.example": {"TXT": ["v=spf1 ip4:203.0.113.1 ?all"], "ttl": 3600},
}


@contextlib.contextmanager
def dns_server(folder):
    """The tests' own, in a process of its own."""
    zones = folder / "zones.json"
    zones.write_text(json.dumps(ZONES))
    command = [sys.executable, SOURCE / "tests/integration/harness/dns.py", zones]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.communicate()


@contextlib.contextmanager
def postern_with_spf(plan, dns, workers, limit):
    if not (plan.build / "plugins/spf.so").exists():
        raise LeftOut("the plugin spf is not built: libspf2 or c-ares is missing")
    folder = plan.folder / f"{workers}-workers"
    folder.mkdir()
    folder.parent.chmod(0o755)
    extra = f'dns {{ servers = {{"{dns}"}} }}\nspf_timeout = "{limit}s"\n'
    section = {"driver": "sqlite", "path": folder / DATABASE}
    with posternd(plan.build, folder, section, plugins=PLUGINS, workers=workers,
                  extra=extra) as postern:
        give_each_a_core(postern.workers())
        yield postern


def open_files(postern):
    return [len(os.listdir(f"/proc/{pid}/fd")) for pid in postern.workers()]


@contextlib.contextmanager
def slow_mail(plan, postern, connections):
    """All of them wait for the DNS inside; yields a list that has the result afterwards."""
    before, results = open_files(postern), []
    command = [program(plan.build, "bench/postern-load"), "-a", postern.address, "-c",
               str(connections), "-d", "600", "-m", "slow-spf", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            wait_for(lambda: sum(open_files(postern)) >= sum(before) + connections, process,
                       "the slow mail")
            time.sleep(LATE)
            yield results
        finally:
            shares = [now - then for now, then in zip(open_files(postern), before)]
            process.terminate()
            results.append(json.loads(process.communicate()[0]))
            results[-1]["shares"] = shares


def check_slow(result, workers, limit):
    """They have to be what they are meant to be."""
    seconds = result["latency_us"]["p50"] / 1e6
    if result["failed"] or result["wrong"] or set(result["actions"]) != {"defer"}:
        raise BenchError(f"slow mail should be deferred, got {result}")
    if not limit * 0.95 <= seconds <= limit * 1.5:
        raise BenchError(f"slow mail should take {limit} s, and took {seconds:.2f} s")
    if len(result["shares"]) != workers or min(result["shares"]) < SLOW / workers / 4:
        raise BenchError(f"the workers' shares of the slow mail are {result['shares']}")


def ordinary_mail(plan, postern, seconds):
    result = load(plan.build, postern.address, "first-seen", seconds, "defer", ORDINARY)
    if result["failed"] or result["wrong"] or result["retried"]:
        raise BenchError(f"ordinary mail failed: {result}")
    return result


def measure_beside(plan, postern):
    with slow_mail(plan, postern, SLOW) as slow:
        result = ordinary_mail(plan, postern, plan.seconds)
    check_slow(slow[0], 2, LIMIT)
    return result


def measure_mail(plan, dns):
    with postern_with_spf(plan, dns, 2, LIMIT) as postern:
        ordinary_mail(plan, postern, WARMUP_SECONDS)
        return measure_rounds({"alone": lambda: ordinary_mail(plan, postern, plan.seconds),
                               "beside": lambda: measure_beside(plan, postern)}, plan.rounds)


def measure_memory(plan, dns):
    """The most that one worker has had, in KB."""
    with postern_with_spf(plan, dns, 1, LIMIT) as postern:
        with slow_mail(plan, postern, MANY) as slow:
            most, end = 0, time.monotonic() + LIMIT + 1
            while time.monotonic() < end:
                most = max(most, *postern.resident_kb())
                time.sleep(0.1)
    check_slow(slow[0], 1, LIMIT)
    return most


def slow_spf_rows(results):
    alone, beside = results["alone"], results["beside"]
    return [
        row("ordinary mail alone: p99", quantile(alone, "p99"), "us"),
        row("beside 200 slow senders: p99", quantile(beside, "p99"), "us"),
        row("beside 200 slow senders: times alone",
            quantile(beside, "p99") / quantile(alone, "p99"), "", ("<=", 2)),
        row("1,000 slow senders in one worker", results["memory_kb"] / 1024, "MB", ("<", 100)),
    ]


def measure_slow_spf(plan):
    with dns_server(plan.folder) as dns:
        results = measure_mail(plan, dns)
        results["memory_kb"] = measure_memory(plan, dns)
    return results, slow_spf_rows(results)
