"""Postern and PostSRSd 1.10 with the same secret read each other's addresses."""
import json
import random
import time

import pytest

from harness import postsrsd

pytestmark = pytest.mark.skipif(postsrsd.PROGRAM is None, reason="PostSRSd is not installed")

SECRETS = ["the secret that signs", "an older one"]
DOMAIN = "srs.example"
SENDERS = 10000
ODD = "!#$%&'*+-/=?^_`{|}~"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
FOREIGN = "\u00e4\u00df\u0416\u4e2d\U0001f4e7"


@pytest.fixture(scope="module")
def postern_srs(shared_postern):
    """A configuration with SRS; posternctl asks it as the daemon would."""
    return shared_postern(start=False, sections={"srs": {"domain": DOMAIN, "secrets": SECRETS}})


@pytest.fixture(scope="module")
def server(shared_folder):
    made = postsrsd.PostSRSd(shared_folder, DOMAIN, SECRETS)
    yield made
    made.stop()


def ask(site, verb, addresses):
    """What each address becomes; None where it stays as it is."""
    run = site.ctl("--timeout", "60s", "--json", "srs", verb, "-", input="\n".join(addresses))
    rows = json.loads(run.stdout)
    assert [row["address"] for row in rows] == addresses, run.stderr
    return [row["result"] for row in rows]


def word(chance, alphabet, longest):
    return "".join(chance.choices(alphabet, k=chance.randint(1, longest)))


def local_part(chance):
    alphabet = chance.choice([LETTERS, LETTERS + ODD, LETTERS + ODD + FOREIGN, ODD])
    return ".".join(word(chance, alphabet, 12) for _ in range(chance.randint(1, 3)))


def domain(chance):
    labels = [word(chance, LETTERS + "-_", 10) for _ in range(chance.randint(1, 3))]
    return ".".join([*labels, chance.choice(["com", "org", "Example"])])


def fields(chance):
    """The hash, time, host and local part that another host may have written."""
    return "=".join([word(chance, LETTERS + "+/", 6), word(chance, LETTERS[:36], 2),
                     domain(chance), local_part(chance)])


def plain(chance):
    return f"{local_part(chance)}@{domain(chance)}"


def srs0(chance):
    tag = chance.choice(["SRS0", "srs0", "Srs0"]) + chance.choice("=+-")
    return f"{tag}{fields(chance)}@{domain(chance)}"


def srs1(chance):
    tag = chance.choice(["SRS1", "srs1"]) + chance.choice("=+-")
    rest = chance.choice("=+-") + fields(chance)
    return f"{tag}{word(chance, LETTERS + '+/', 6)}={domain(chance)}={rest}@{domain(chance)}"


def senders(make):
    chance = random.Random(make.__name__)
    return [make(chance) for _ in range(SENDERS)]


@pytest.mark.parametrize("make", [plain, srs0, srs1])
def test_each_reverses_what_the_other_wrote_of_10000_senders(postern_srs, server, make):
    originals = senders(make)
    day = time.time() // 86400
    theirs = server.ask("forward", originals)
    ours = ask(postern_srs, "forward", originals)
    if time.time() // 86400 == day:
        assert ours == theirs
    back = server.ask("reverse", ours)
    assert None not in back and ask(postern_srs, "reverse", theirs) == back
    assert ask(postern_srs, "reverse", ours) == back
    if make is plain:
        assert back == originals
    if make is srs0:
        assert back == ["SRS0" + address[4:] for address in originals]


def test_each_reverses_what_the_other_wrote_with_the_older_secret(postern_srs, server,
                                                                  shared_folder):
    older = shared_folder / "older"
    older.mkdir()
    rotated = postsrsd.PostSRSd(older, DOMAIN, SECRETS[::-1])
    try:
        written = rotated.ask("forward", ["alice@remote.example"])
        assert written != server.ask("forward", ["alice@remote.example"])
        assert ask(postern_srs, "reverse", written) == ["alice@remote.example"]
        written = ask(postern_srs, "forward", ["alice@remote.example"])
        assert rotated.ask("reverse", written) == ["alice@remote.example"]
    finally:
        rotated.stop()


@pytest.mark.parametrize("separator", "=+-")
@pytest.mark.parametrize("length", [4, 10, 20])
def test_longer_hashes_and_other_separators_are_read(postern_srs, shared_folder, separator,
                                                     length):
    place = shared_folder / f"{length}{ord(separator)}"
    place.mkdir()
    other = postsrsd.PostSRSd(place, DOMAIN, SECRETS, "-a", separator, "-n", str(length))
    try:
        written = other.ask("forward", ["alice@remote.example", "SRS0=a=b=c=d@remote.example"])
        assert written[0][4] == separator
        assert ask(postern_srs, "reverse", written) == ["alice@remote.example",
                                                        "SRS0=a=b=c=d@remote.example"]
    finally:
        other.stop()


def test_quoted_senders_of_postsrsd_are_reversed(postern_srs, server):
    """Postern writes them in another way: the quotes around all of the local part."""
    original = ['"a b"@remote.example']
    assert ask(postern_srs, "reverse", server.ask("forward", original)) == original
    (ours,) = ask(postern_srs, "forward", original)
    assert ours.startswith('"SRS0=') and ours.endswith(f'=a b"@{DOMAIN}')
    assert ask(postern_srs, "reverse", [ours]) == original
