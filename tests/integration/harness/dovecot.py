"""
Dovecot's authentication, and nothing else of it, in a folder of its own: the users and passwords of
a test file, on a socket that Postfix asks (smtpd_sasl_type = dovecot). It knows nothing of the
system's Dovecot.
"""
import shutil
import socket
import subprocess

from harness.wait import wait_for

USERS = {"alice@example.org": "secret of alice", "bob@example.org": "secret of bob"}

CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
instance_name = postern-tests
log_path = {folder}/log
protocols = none
ssl = no
default_internal_user = dovecot
default_login_user = dovenull
auth_mechanisms = plain
disable_plaintext_auth = no
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener {socket} {{
    mode = 0600
    user = postfix
  }}
}}
"""


class Dovecot:
    """socket: the path where Postfix is to find it, in a folder that there is."""

    def __init__(self, folder, path):
        self.folder, self.socket, self.process = folder, path, None
        self.config = folder / "dovecot.conf"

    def start(self):
        for name in ("run", "state"):
            (self.folder / name).mkdir()
        users = self.folder / "users"
        users.write_text("".join(f"{user}:{{PLAIN}}{password}\n"
                                 for user, password in USERS.items()))
        users.chmod(0o640)
        shutil.chown(users, "root", "dovecot")
        self.config.write_text(CONFIG.format(folder=self.folder, socket=self.socket))
        with open(self.folder / "output", "w", encoding="utf-8") as output:
            self.process = subprocess.Popen(["dovecot", "-F", "-c", self.config], stderr=output,
                                            stdin=subprocess.DEVNULL, stdout=output)
        wait_for(self._answers, "Dovecot to start")

    def log(self):
        return "".join(path.read_text(errors="replace") for name in ("output", "log")
                       if (path := self.folder / name).exists())

    def _answers(self):
        assert self.process.poll() is None, self.log()
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(str(self.socket))
                return connection.recv(7) == b"VERSION"
        except OSError:
            return False

    def stop(self):
        """The master ends its children, and itself when they have ended."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
