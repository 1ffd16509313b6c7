"""
A real Postfix in a folder of its own: its config, queue, log and mailboxes, on free ports of
127.0.0.1. It delivers mail for example.org to a maildir, and what may be relayed to
elsewhere.example as well. It knows nothing of the system's Postfix.

One instance serves all tests. It has an smtpd per way of reaching the policy service, each with an
address at which the test's posternd is to listen: "tcp", "unix", and "submission", which takes
logins when a Dovecot answers at `sasl`. The latter has its relay check behind the policy service and
a check of its own behind that, so that what a whitelist skips shows.
"""
import os
import shutil
import signal
import socket
import subprocess

from harness.daemon import give_to_daemon
from harness.ports import free_port
from harness.wait import wait_for

DOMAIN = "example.org"
ELSEWHERE = "elsewhere.example"
MAIL_UID = 65534

MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
alternate_config_directories =
multi_instance_directories =
inet_interfaces = 127.0.0.1
inet_protocols = all
myhostname = mx.{domain}
mydestination =
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
default_transport = error:only {domain} has mailboxes here
transport_maps = inline:{{ {elsewhere}=virtual: }}
disable_dns_lookups = yes
notify_classes =
smtpd_peername_lookup = no
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
smtpd_policy_service_retry_delay = 1s
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = texthash:{folder}/etc/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_minimum_uid = 1
"""

MASTER_CF = """\
cleanup   unix  n - n - 0 cleanup
pickup    unix  n - n 60 1 pickup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""

SMTPD = """\
127.0.0.1:{port} inet n - n - - smtpd
  -o {{ smtpd_recipient_restrictions = reject_unauth_destination, check_policy_service {policy} }}
  -o {{ smtpd_end_of_data_restrictions = check_policy_service {policy} }}
"""

LATE = "late.example"  # the submission's last check refuses its senders

SUBMISSION = """\
127.0.0.1:{port} inet n - n - - smtpd
  -o {{ smtpd_sasl_auth_enable = yes }}
  -o {{ smtpd_sasl_type = dovecot }}
  -o {{ smtpd_sasl_path = {sasl} }}
  -o {{ mynetworks = }}
  -o {{ smtpd_relay_restrictions = }}
  -o {{ smtpd_recipient_restrictions = check_policy_service {policy}, permit_sasl_authenticated,
        reject_unauth_destination, check_sender_access inline:{{ {{ {late} = REJECT too late }} }} }}
  -o {{ smtpd_end_of_data_restrictions = check_policy_service {policy} }}
"""


class Postfix:
    def __init__(self, folder, main_cf="", master_cf="", ports=None):
        """main_cf, master_cf: settings of a test's own; ports: of the smtpds among them."""
        self.folder, self.process = folder, None
        self.main_cf, self.master_cf = main_cf, master_cf
        for name in ("policy", "sasl"):
            (folder / name).mkdir()
        give_to_daemon(folder / "policy")
        self.sasl = folder / "sasl/auth"
        # Entries of `listen` in postern.conf.
        self.listen = {"tcp": f"127.0.0.1:{free_port()}", "unix": f"unix:{folder}/policy/socket",
                       "submission": f"127.0.0.1:{free_port()}"}
        self.policy = {name: address if address.startswith("unix:") else f"inet:{address}"
                       for name, address in self.listen.items()}
        self.ports = {**{name: free_port() for name in self.policy}, **(ports or {})}

    def _write_config(self):
        for name in ("etc", "queue", "data", "mail"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        shutil.chown(self.folder / "mail", MAIL_UID, MAIL_UID)
        smtpds = [(SUBMISSION if name == "submission" else SMTPD).format(
            port=self.ports[name], policy=policy, sasl=self.sasl, late=LATE)
            for name, policy in self.policy.items()]
        main_cf = MAIN_CF.format(folder=self.folder, domain=DOMAIN, elsewhere=ELSEWHERE,
                                 uid=MAIL_UID)
        files = {"main.cf": main_cf + self.main_cf,
                 "master.cf": MASTER_CF + "".join(smtpds) + self.master_cf,
                 "mailboxes": f"@{DOMAIN} all/\n@{ELSEWHERE} all/\n"}
        for name, text in files.items():
            (self.folder / "etc" / name).write_text(text)

    def start(self):
        self._write_config()
        etc = self.folder / "etc"
        check = subprocess.run(["postfix", "-c", etc, "check"], capture_output=True, text=True,
                               timeout=60, check=False)
        assert check.returncode == 0, check.stderr
        with open(self.folder / "output", "w", encoding="utf-8") as output:
            self.process = subprocess.Popen(
                ["postfix", "-c", etc, "start-fg"], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output)
        wait_for(self._answers, "Postfix to start")

    def _answers(self):
        assert self.process.poll() is None, self.log() + (self.folder / "output").read_text()
        try:
            for port in (port for name, port in self.ports.items() if name != "submission"):
                with socket.create_connection(("127.0.0.1", port), 5) as connection:
                    if not connection.recv(3).startswith(b"220"):
                        return False
        except OSError:
            return False
        return True

    def stop(self):
        """Ends the master, which has a process group of its own, and with it all the others."""
        if self.process is None:
            return
        number = signal.SIGTERM
        while self.process.poll() is None:
            os.kill(int((self.folder / "queue/pid/master.pid").read_text()), number)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                number = signal.SIGKILL

    def log(self):
        path = self.folder / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- mail ---

    def mails(self):
        """The text of each mail that was delivered."""
        folder = self.folder / "mail/all/new"
        if not folder.exists():
            return []
        return [path.read_text(errors="replace") for path in folder.iterdir()]

    def wait_for_mails(self, count):
        """All mails, once there are that many."""
        def delivered():
            mails = self.mails()
            return mails if len(mails) >= count else None
        mails = wait_for(delivered, f"{count} mails")
        assert len(mails) == count, f"{len(mails)} mails instead of {count}"
        return mails

    def queue_is_empty(self):
        queue = self.folder / "queue"
        return not any(path.is_file() for name in ("incoming", "active", "deferred")
                       for path in (queue / name).rglob("*"))

    def clear(self):
        wait_for(self.queue_is_empty, "an empty mail queue")
        shutil.rmtree(self.folder / "mail/all", ignore_errors=True)
