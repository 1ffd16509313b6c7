"""The build folder that is measured."""
import json
import pathlib
import subprocess
import sys

from .errors import BenchError, LeftOut

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
DEFAULT_BUILD = SOURCE / "build-bench"


def prepare_build(build):
    if build is not None:
        return build.resolve()
    if not DEFAULT_BUILD.exists():
        run_tool(["meson", "setup", DEFAULT_BUILD, SOURCE, "-Dbuildtype=release"])
    run_tool(["meson", "compile", "-C", DEFAULT_BUILD])
    return DEFAULT_BUILD


def run_tool(command):
    try:
        subprocess.run(command, check=True, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BenchError(f"{command[0]}: {error}") from error


def program(build, path):
    found = build / path
    if not found.exists():
        raise BenchError(f"{found} is missing: run `meson compile -C {build}`")
    return found


def optional_program(build, path):
    """Made only where its library is installed."""
    if not (build / path).exists():
        raise LeftOut(f"{path} is not built: its client library is missing")
    return build / path


def measured(command, **options):
    """What a program prints as JSON."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise BenchError(f"{command[0]}: {done.stderr}{done.stdout}")
    return json.loads(done.stdout)
