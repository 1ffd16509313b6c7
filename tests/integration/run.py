#!/usr/bin/python3
"""
Runs the integration tests in two parts at once: those that share the session's database servers,
and the rest. They mostly wait. Takes a folder for the reports, PART.xml, and pytest's options.
"""
import pathlib
import signal
import subprocess
import sys

PARTS = "servers", "rest"
HERE = pathlib.Path(__file__).parent


def start(part, folder, options):
    report, log = folder / f"{part}.xml", folder / f"{part}.log"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", f"--part={part}", f"--junitxml={report}",
               f"--override-ini=cache_dir=.pytest_cache/{part}", *options, HERE]
    with open(log, "w", encoding="utf-8") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)


def main():
    folder, *options = sys.argv[1:]
    folder = pathlib.Path(folder)
    running = {part: start(part, folder, options) for part in PARTS}

    def interrupt(*_):
        for process in running.values():
            process.send_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells them itself
    for part, process in running.items():
        process.wait()
        print((folder / f"{part}.log").read_text(), end="", flush=True)
    return any(process.returncode not in (0, 5) for process in running.values())


sys.exit(main())
