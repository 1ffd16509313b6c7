"""Rows of the report, from what was measured."""
import statistics


def median_of(results, read):
    return statistics.median(read(result) for result in results)


def rate(results):
    return median_of(results, lambda result: result["rate"])


def quantile(results, name):
    return median_of(results, lambda result: result["latency_us"][name])


def tail(results):
    return median_of(results, lambda r: r["latency_us"]["p99"] / r["latency_us"]["p50"])


def row(name, value, unit="", goal=None):
    """goal: None, or (">=", 0.6) and the like."""
    checks = {">=": value.__ge__, "<=": value.__le__, "<": value.__lt__}
    met = None if goal is None else checks[goal[0]](goal[1])
    return {"name": name, "value": round(value, 3), "unit": unit,
            "goal": goal and f"{goal[0]} {goal[1]}", "met": met}


def load_rows(name, floor_name, results, share, tail_goal=None):
    """A floor's rate, Postern's, their ratio and Postern's latency."""
    floor, results = results["floor"], results["postern"]
    return [
        row(floor_name, rate(floor), "/s"),
        row(name, rate(results), "/s"),
        row(f"{name}: share of the floor", rate(results) / rate(floor), "", (">=", share)),
        row(f"{name}: p50", quantile(results, "p50"), "us"),
        row(f"{name}: p99", quantile(results, "p99"), "us"),
        row(f"{name}: p99 / p50", tail(results), "", tail_goal),
    ]


def shared_rows(name, results):
    """The same where one counter is everybody's, which the messages take in turn."""
    return [row(f"{name}, one shared", rate(results["shared"]), "/s"),
            row(f"{name}, one shared: p99", quantile(results["shared"], "p99"), "us")]


def floor_latency_rows(floor_name, results):
    floor = results["floor"]
    return [row(f"{floor_name}: p50", quantile(floor, "p50"), "us"),
            row(f"{floor_name}: p99", quantile(floor, "p99"), "us"),
            row(f"{floor_name}: p99 / p50", tail(floor))]


def srs_rows(results):
    other, results = results["postsrsd"], results["postern"]
    return [
        row("SRS forward (postsrsd)", rate(other), "/s"),
        row("SRS forward", rate(results), "/s"),
        row("SRS forward: times postsrsd's", rate(results) / rate(other), "", (">=", 1.5)),
        row("SRS forward: p50", quantile(results, "p50"), "us"),
        row("SRS forward: p99", quantile(results, "p99"), "us"),
    ]


def memory_rows(memory):
    return [
        row("idle worker", memory["idle_worker_kb"] / 1024, "MB", ("<=", 12)),
        row("idle connection", memory["connection_kb"], "KB", ("<=", 32)),
    ]


def fiber_rows(fibers):
    return [
        row("fiber: start and finish", fibers["spawn_ns"], "ns", ("<", 1000)),
        row("fiber: switch", max(fibers["yield_ns"], fibers["cond_ns"]), "ns", ("<", 1000)),
    ]


def value_text(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def print_table(rows):
    verdicts = {None: "", True: "met", False: "MISSED"}
    for line in rows:
        print(f"{line['name']:<42} {value_text(line['value']):>10} {line['unit']:<3}"
              f" {line['goal'] or '':>8}  {verdicts[line['met']]}".rstrip())
