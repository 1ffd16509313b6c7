"""Postern: two workers, which greylist everybody unless told otherwise."""
import contextlib
import os
import pwd
import shutil
import subprocess

from .build import program
from .errors import BenchError
from .process import answers, free_port, resident_kb, running, wait_for, worker_pids

WORKERS = 2
DATABASE = "postern.db"
PLUGINS = ("reject_null_sender", "greylisting")

CONFIG = """\
user = "{user}"
group = "{group}"
workers = {workers}
listen = {{"{listen}"}}
pid_file = "{folder}/posternd.pid"
plugin_dir = "{build}/plugins"
log {{ target = "{log}" level = "info" }}
metrics {{ listen = "127.0.0.1:{metrics_port}" }}
database "iredapd" {{ {database} }}
plugins = {{{plugins}}}
{extra}"""


class Postern:
    def __init__(self, address, master, workers):
        self.address, self.master, self.worker_count = address, master, workers

    def workers(self):
        return worker_pids(self.master)

    def is_up(self):
        return len(self.workers()) == self.worker_count and answers(self.address)

    def resident_kb(self):
        return [resident_kb(pid) for pid in self.workers()]


def daemon_account():
    """Root gives the daemon an account without rights; anybody else runs it as themselves."""
    if os.geteuid() == 0:
        return "nobody", "nogroup"
    account = pwd.getpwuid(os.geteuid())
    return account.pw_name, str(account.pw_gid)


def section_text(section):
    """A dictionary as what a `database` section holds."""
    return " ".join(f"{key} = {value}" if isinstance(value, int) else f'{key} = "{value}"'
                    for key, value in section.items())


def write_config(build, folder, listen, section, workers, plugins=PLUGINS, log="stderr", extra=""):
    """extra: more settings."""
    user, group = daemon_account()
    if os.geteuid() == 0:
        shutil.chown(folder, user, group)
    path = folder / "postern.conf"
    path.write_text(CONFIG.format(user=user, group=group, workers=workers, listen=listen,
                                  folder=folder, build=build, database=section_text(section),
                                  plugins=", ".join(f'"{name}"' for name in plugins),
                                  metrics_port=free_port(), log=log, extra=extra))
    return path


def control(build, config, *command):
    done = subprocess.run([program(build, "src/posternctl"), "-c", config, *command],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"posternctl {' '.join(command)}: {done.stderr or done.stdout}")


@contextlib.contextmanager
def posternd(build, folder, section, workers=WORKERS, **settings):
    """On the database that the section describes, with its tables made; settings: write_config's."""
    address = f"127.0.0.1:{free_port()}"
    config = write_config(build, folder, address, section, workers, **settings)
    control(build, config, "db", "init")
    output = folder / "posternd.log"
    with open(output, "w", encoding="utf-8") as stderr, \
            running([program(build, "src/posternd"), "-f", "-c", config],
                    stdout=stderr, stderr=stderr) as process:
        postern = Postern(address, process.pid, workers)
        wait_for(postern.is_up, process, "posternd", output)
        yield postern


@contextlib.contextmanager
def posternd_on_sqlite(build, folder, plugins=PLUGINS):
    section = {"driver": "sqlite", "path": folder / DATABASE}
    with posternd(build, folder, section, plugins=plugins) as postern:
        yield postern
