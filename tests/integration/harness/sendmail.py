"""A stand-in for /usr/sbin/sendmail: keeps each mail, and can be told to hold it, to fail, to lose it."""
import email
import email.policy
from collections import namedtuple

from harness.daemon import give_to_daemon
from harness.wait import wait_for

SCRIPT = """\
#!/bin/sh
cd {folder} || exit 1
if [ -e fail ]; then
    echo "one line"
    echo "the queue is full" >&2
    exit 75
fi
if [ -e hold ]; then
    touch held
    while [ -e hold ]; do sleep 0.05; done
fi
[ -e lose ] && exit 1
new=$(mktemp new.XXXXXX)
{{ printf '%s\\n' "$#" "$@"; cat; }} > "$new"
mv "$new" "mail.${{new#new.}}"
"""

Mail = namedtuple("Mail", "arguments message raw")


def parse_message(raw):
    return email.message_from_bytes(raw, policy=email.policy.default)


def _parse(data):
    count, _, rest = data.partition(b"\n")
    arguments = []
    for _ in range(int(count)):
        argument, _, rest = rest.partition(b"\n")
        arguments.append(argument.decode())
    return Mail(arguments, parse_message(rest), rest)


class Sendmail:
    def __init__(self, folder):
        self.folder, self.path = folder / "sendmail", folder / "sendmail/sendmail"
        self.folder.mkdir()
        give_to_daemon(self.folder)
        self.path.write_text(SCRIPT.format(folder=self.folder))
        self.path.chmod(0o755)

    def set(self, *words):
        """How it behaves from now on: of hold, fail, lose; without words as it should."""
        for word in ("lose", "fail", "hold"):
            if word in words:
                (self.folder / word).touch()
            else:
                (self.folder / word).unlink(missing_ok=True)

    def wait_until_held(self):
        wait_for((self.folder / "held").exists, "sendmail to hold a mail")

    def mails(self):
        return [_parse(path.read_bytes()) for path in self.folder.glob("mail.*")]

    def wait_for_mails(self, count):
        mails = wait_for(lambda: len(self.mails()) >= count and self.mails(), f"{count} mails")
        assert len(mails) == count, f"{len(mails)} mails instead of {count}"
        return mails
