"""posternctl on a database of the test's own, whichever it is, and without a daemon."""
import grp
import json
import os
import pwd

from harness.config import config_text
from harness.database import run_posternctl

DONE, NOTHING, USAGE, UNREACHABLE = 0, 1, 2, 3


def without_sanitizer_notes(text):
    """A sanitizer says on stderr that it does not know fibers."""
    return "".join(line for line in text.splitlines(keepends=True)
                   if "ASan doesn't fully support makecontext" not in line)


class Ctl:
    def __init__(self, build, folder, database):
        self.build, self.database = build, database
        self.config = folder / "ctl.conf"
        settings = {"user": pwd.getpwuid(os.geteuid()).pw_name,
                    "group": grp.getgrgid(os.getegid()).gr_name,
                    "pid_file": folder / "posternd.pid", "plugin_dir": build / "plugins"}
        sections = {"metrics": {"listen": ""}, **database.sections()}
        self.config.write_text(config_text(settings, sections))
        self.good("db", "init", "--empty")

    def __call__(self, *arguments, lines=None, text="", **options):
        """lines: of standard input."""
        if lines is not None:
            text = "".join(f"{line}\n" for line in lines)
        run = run_posternctl(self.build, self.config, *arguments, input=text, **options)
        run.stderr = without_sanitizer_notes(run.stderr)
        return run

    def good(self, *arguments, **options):
        run = self(*arguments, **options)
        assert run.returncode == DONE, run.stderr
        assert run.stderr == ""
        return run.stdout

    def json(self, *arguments, **options):
        return json.loads(self.good("--json", *arguments, **options))

    def refused(self, *arguments, status=USAGE, **options):
        """What it says on stderr, and nothing else."""
        run = self(*arguments, **options)
        assert run.returncode == status, run.stderr
        assert run.stdout == ""
        return run.stderr
