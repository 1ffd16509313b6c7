"""SRS lookups of Postern and of postsrsd, whose users are to notice no difference but the rate."""
import contextlib
import os
import shutil
import subprocess

from .build import measured, program
from .daemon import posternd
from .errors import LeftOut
from .load import WARMUP_SECONDS
from .process import answers, free_port, running, wait_for

CONNECTIONS = 16
DOMAIN, SECRET = "srs.example.org", "a secret that nobody needs to keep"

SECTION = """\
srs {{ domain = "{domain}" secrets = {{"{secret}"}}
      listen_forward = "{forward}" listen_reverse = "" }}
"""


def server_core():
    return min(os.sched_getaffinity(0))


def other_cores():
    """For the generator; the same one where there is no other."""
    cores = os.sched_getaffinity(0)
    return cores - {server_core()} or cores


def confine(pid):
    os.sched_setaffinity(int(pid), {server_core()})


@contextlib.contextmanager
def postsrsd(folder):
    """A process for each connection; each inherits the core."""
    found = shutil.which("postsrsd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        raise LeftOut("postsrsd is not installed")
    secrets = folder / "postsrsd.secret"
    secrets.write_text(SECRET + "\n")
    forward = free_port()
    command = [found, f"-s{secrets}", f"-d{DOMAIN}", "-4", "-l127.0.0.1", f"-f{forward}",
               f"-r{free_port()}"]
    with running(command, stderr=subprocess.DEVNULL) as process:
        confine(process.pid)
        address = f"127.0.0.1:{forward}"
        wait_for(lambda: answers(address, b"get nobody\n", b"500 "), process, "postsrsd")
        yield address


@contextlib.contextmanager
def postern_srs(build, folder):
    """Logging where postsrsd logs: a line per lookup, to syslog."""
    forward = f"127.0.0.1:{free_port()}"
    section = {"driver": "sqlite", "path": folder / "postern.db"}
    extra = SECTION.format(domain=DOMAIN, secret=SECRET, forward=forward)
    with posternd(build, folder, section, log="syslog", extra=extra) as postern:
        for pid in postern.workers():
            confine(pid)
        yield forward


def measure_lookups(plan, address):
    return measured([program(plan.build, "bench/table-load"), "-a", address, "-c",
                     str(CONNECTIONS), "-d", str(plan.seconds), "-w", str(WARMUP_SECONDS)],
                    preexec_fn=lambda: os.sched_setaffinity(0, other_cores()))
