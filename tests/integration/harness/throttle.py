"""Settings and counters of the throttle plugin, and the messages that it is asked about."""
import pytest

from harness.database import AMAVISD_PRIORITIES, account_form
from harness.policy import end_of_message, rcpt

TOO_MUCH = "REJECT Throttling quota exceeded"
TOO_LARGE = "REJECT Message size is too large"
TOO_MANY = "REJECT Too many recipients in single message"
HOUR, DAY = 3600, 86400
GB = 1024 ** 3
COUNTER = ("account", "period", "cur_msgs", "cur_quota", "init_time", "last_time",
           "last_notify_time")


def priority_of(account):
    """That behaviour.md gives to this form of an account."""
    return 1 if account == "@ip" else AMAVISD_PRIORITIES[account_form(account)]


class Throttles:
    """A daemon and the two tables."""

    def __init__(self, daemon):
        self.daemon, self.database = daemon, daemon.database

    @property
    def now(self):
        return self.daemon.now

    def ask(self, **attributes):
        return self.daemon.ask(end_of_message(**attributes))

    def send(self, recipients, **attributes):
        """A message to several, as Postfix asks about it."""
        with self.daemon.policy() as client:
            return send(client, recipients, **attributes)

    def limit(self, account, kind="external", period=HOUR, priority=None, shared=0, **limits):
        """The id of a new setting."""
        values = {"account": account, "kind": kind, "period": period, "shared": shared,
                  "priority": priority_of(account) if priority is None else priority,
                  **limits}
        self.database.execute(
            f"INSERT INTO throttle ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})",
            *values.values())
        return self.database.query("SELECT MAX(id) FROM throttle")[0][0]

    def counters(self, setting=None):
        """Rows of throttle_tracking that count something, as dicts."""
        where = "cur_msgs > 0" if setting is None else f"cur_msgs > 0 AND tid = {setting}"
        rows = self.database.query(f"SELECT {', '.join(COUNTER)} FROM throttle_tracking"
                                   f" WHERE {where} ORDER BY account")
        return [dict(zip(COUNTER, row)) for row in rows]

    def counted(self, setting=None):
        """Messages by account."""
        return {row["account"]: row["cur_msgs"] for row in self.counters(setting)}

    def notified(self):
        """last_notify_time by account, where it is set."""
        return dict(self.database.query("SELECT account, last_notify_time FROM throttle_tracking"
                                        " WHERE last_notify_time <> 0"))


def send(client, recipients, instance="7.8.9", size=1024, **attributes):
    for recipient in recipients:
        assert client.rcpt(recipient=recipient, instance=instance, **attributes) == "DUNNO"
    return client.request(end_of_message(
        recipient=recipients[0] if len(recipients) == 1 else "", instance=instance, size=size,
        recipient_count=len(recipients), **attributes))


def people(count, domain="example.org"):
    return [f"p{number}@{domain}" for number in range(count)]


# --- fixtures, to be imported ---

@pytest.fixture(scope="module")
def default_daemon(shared_postern, shared_folder, backend):
    """One daemon with the default options, for all tests that need no others."""
    return shared_postern(plugins=["throttle"], database=backend.create(shared_folder),
                          mynetworks=["198.51.100.0/24"])


@pytest.fixture
def throttle(default_daemon):
    """That daemon, without any setting."""
    default_daemon.database.execute("DELETE FROM throttle_tracking")
    default_daemon.database.execute("DELETE FROM throttle")
    return Throttles(default_daemon)


@pytest.fixture
def throttle_with(postern, database):
    """Makes a daemon with other options."""
    def make(cache_ttl="0s", mynetworks=(), settings=None, **options):
        return Throttles(postern(plugins=["throttle"], options={"throttle": options},
                                 database=database, cache_ttl=cache_ttl,
                                 mynetworks=list(mynetworks), **(settings or {})))
    return make
