"""A posternd of the test's own: its folder, its config, its clock, its end."""
import contextlib
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

from harness.config import config_text
from harness.database import run_posternctl
from harness.log import parse_fields
from harness.metrics import parse_metrics
from harness.policy import PolicyClient
from harness.ports import free_port
from harness.processes import children, process_name
from harness.wait import wait_for

USER, GROUP = "nobody", "nogroup"
SANITIZER_WORDS = ("AddressSanitizer", "runtime error:", "LeakSanitizer", "UndefinedBehavior")
STOP_SECONDS = 60


def give_to_daemon(path):
    if os.geteuid() == 0:
        shutil.chown(path, USER, GROUP)


class Daemon:
    def __init__(self, build, folder, database=None, plugins=(), options=None, sections=None,
                 log=None, metrics=True, **settings):
        """folder: a Path that the daemon's user can read. options: plugin to its settings."""
        self.build, self.folder, self.database = build, folder, database
        self.process, self.now, self.pids = None, int(time.time()), set()
        self.config, self.stderr = folder / "postern.conf", folder / "stderr"
        self.clock = folder / "clock"
        self.listen = settings.pop("listen", None) or [f"127.0.0.1:{free_port()}"]
        self.metrics_address = f"127.0.0.1:{free_port()}" if metrics else ""
        self.settings = {
            "user": USER, "group": GROUP, "workers": 2, "listen": self.listen,
            "pid_file": folder / "posternd.pid", "plugin_dir": build / "plugins",
            "drain_timeout": "20s", "cache_ttl": "0s", "plugins": list(plugins), **settings}
        self.sections = {"log": {"target": "stderr", "level": "info", **(log or {})},
                         "metrics": {"listen": self.metrics_address},
                         "notify": {"recipients": []}}
        if database is not None:
            self.sections.update(database.sections())
        self.sections.update({f'plugin "{name}"': keys for name, keys in (options or {}).items()})
        self.sections.update(sections or {})
        self.stderr.touch()
        self.advance(0)
        self.write_config()

    # --- its files ---

    def write_config(self, extra=""):
        """Writes the settings as they are now, and `extra` behind them."""
        self.config.write_text(config_text(self.settings, self.sections) + extra)

    def set_options(self, plugin, **options):
        self.sections.setdefault(f'plugin "{plugin}"', {}).update(options)
        self.write_config()

    def environment(self):
        reports = f"log_path={self.folder / 'sanitizer'}:halt_on_error=1"
        return {**os.environ, "POSTERN_FAKE_TIME": str(self.clock),
                "ASAN_OPTIONS": f"detect_leaks=1:exitcode=99:{reports}",
                "UBSAN_OPTIONS": f"print_stacktrace=1:exitcode=99:{reports}"}

    def ctl(self, *arguments, **options):
        return run_posternctl(self.build, self.config, *arguments, env=self.environment(),
                              **options)

    def init_database(self, *arguments):
        done = self.ctl("db", "init", *arguments)
        assert done.returncode == 0, done.stderr + done.stdout

    # --- its life ---

    def run(self, *arguments):
        """posternd with these arguments, to its end."""
        return subprocess.run([self.build / "src/posternd", *arguments], text=True, timeout=60,
                              capture_output=True, env=self.environment(), check=False)

    def pid_of_file(self):
        """The running daemon that pid_file names; None when there is none."""
        try:
            pid = int((self.folder / "posternd.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if process_name(pid) is not None else None

    def run_in_background(self):
        """posternd without -f: the exit status and the output of what started it."""
        output = self.folder / "output"
        with open(output, "w", encoding="utf-8") as file:
            starter = subprocess.Popen([self.build / "src/posternd", "-c", self.config],
                                       stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                       env=self.environment())
        status = starter.wait(60)
        pid = self.pid_of_file()
        if pid is not None:
            self.pids |= {pid, *children(pid)}
        return status, output.read_text()

    def spawn(self, *arguments):
        with open(self.stderr, "a", encoding="utf-8") as stderr:
            self.process = subprocess.Popen(
                [self.build / "src/posternd", "-c", self.config, *arguments],
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, env=self.environment())
        return self.process

    def start(self):
        self.spawn("-f")
        wait_for(self.is_up, "posternd to start")
        return self

    def is_up(self):
        """True once every listener and worker is there."""
        status = self.process.poll()
        assert status is None, f"posternd ended with {status}:\n{self.stderr_text()}"
        if len(self.workers()) != self.settings["workers"] or not self.endpoint_answers():
            return False
        with contextlib.suppress(OSError):
            for address in self.listen:
                PolicyClient(address).close()
            return True
        return False

    def endpoint_answers(self):
        try:
            return not self.metrics_address or self.http("/healthz").status == 200
        except OSError:
            return False

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def children(self):
        found = children(self.pid)
        self.pids |= found.keys()
        return found

    def workers(self):
        """Process ids of the workers that live now, those that drain included."""
        return {pid for pid, name in self.children().items() if name == "posternd-worker"}

    def housekeeper(self):
        return next((pid for pid, name in self.children().items() if name == "posternd-keeper"),
                    None)

    def signal(self, number):
        os.kill(self.pid, number)

    def reload(self):
        """Returns when a new generation serves and the old one is gone."""
        old = self.workers()
        self.signal(signal.SIGHUP)
        wait_for(lambda: not old & self.workers()
                 and len(self.workers()) == self.settings["workers"], "the reload")

    def kill_worker(self):
        """kill -9 of one worker, and the wait for its successor."""
        victim = min(self.workers())
        os.kill(victim, signal.SIGKILL)
        self.wait_for_workers(without=victim)
        return victim

    def wait_for_workers(self, without=None):
        wait_for(lambda: without not in self.workers()
                 and len(self.workers()) == self.settings["workers"], "the workers to be back")

    def stop(self):
        """SIGTERM; must end with status 0 and leave no process behind."""
        self.children()
        self.signal(signal.SIGTERM)
        status = self.process.wait(STOP_SECONDS)
        assert status == 0, f"posternd ended with {status}:\n{self.stderr_text()}"
        self.assert_no_process_left()

    def assert_no_process_left(self):
        wait_for(lambda: all(process_name(pid) is None for pid in self.pids),
                 "the end of all children")

    def teardown(self):
        """The promises that every test's daemon keeps."""
        try:
            if self.is_running():
                self.stop()
            if (left := self.pid_of_file()) is not None:
                os.kill(left, signal.SIGTERM)
            self.assert_no_process_left()
        finally:
            if self.is_running():
                self.children()
                self.process.kill()
                self.process.wait()
        self.assert_clean()

    def assert_clean(self):
        reports = [path.read_text(errors="replace") for path in self.folder.glob("sanitizer.*")]
        text = "\n".join([self.stderr_text(), *reports])
        assert not any(word in text for word in SANITIZER_WORDS), text

    # --- its clock ---

    def advance(self, seconds):
        """Moves the daemon's wall clock on; without this it stands still."""
        self.now += seconds
        new = self.folder / "clock.new"
        new.write_text(f"{self.now}\n")
        new.rename(self.clock)

    # --- talking to it ---

    def policy(self, listener=0, **options):
        return PolicyClient(self.listen[listener], **options)

    def ask(self, request):
        """One request on a connection of its own."""
        with self.policy() as client:
            return client.request(request)

    def http(self, path, method="GET", data=None):
        request = urllib.request.Request(f"http://{self.metrics_address}{path}", method=method,
                                         data=data)
        try:
            return urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as answer:
            return answer

    def metrics(self):
        with self.http("/metrics") as answer:
            return parse_metrics(answer.read().decode())

    def wait_for_metric(self, value, name, **labels):
        """Requests are counted once they are answered, so the reader may come too soon."""
        wait_for(lambda: self.metrics().sum(name, **labels) >= value, f"{name} {labels}")
        assert self.metrics().sum(name, **labels) == value

    def stderr_text(self):
        return self.stderr.read_text(errors="replace")

    def log_lines(self):
        return self.stderr_text().splitlines()

    def log_requests(self, **fields):
        """The lines of answered requests that have these fields, as dicts."""
        parsed = [parse_fields(line) for line in self.log_lines()]
        return [line for line in parsed if line and "state" in line
                and all(line.get(key) == value for key, value in fields.items())]

    def log_lookups(self, **fields):
        """The lines of SRS lookups that have these fields, as dicts."""
        parsed = [parse_fields(line) for line in self.log_lines()]
        return [line for line in parsed if line and "srs" in line
                and all(line.get(key) == value for key, value in fields.items())]

    def wait_for_log(self, text, count=1):
        """The lines that hold text, once there are that many."""
        def found():
            lines = [line for line in self.log_lines() if text in line]
            return lines if len(lines) >= count else None
        return wait_for(found, f"{text!r} in the log")
