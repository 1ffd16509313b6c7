"""What is written about Postern is what the sources say: keys, options, metrics, messages."""
import json
import pathlib
import re
import subprocess

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
PLUGINS = sorted(path.name for path in (SOURCE / "plugins").iterdir() if path.is_dir())
STRING = r'"((?:[^"\\]|\\.)*)"'


def text_of(path):
    return (SOURCE / path).read_text()


def sources(folder):
    """All C files below a folder, with the strings that are split over lines joined."""
    paths = sorted((SOURCE / folder).rglob("*.c"))
    return re.sub(r'"\s*\n\s*"', "", "\n".join(path.read_text() for path in paths))


# --- postern.conf ---

def written(kind, fallback):
    """A default as it is written in postern.conf."""
    if kind in ("BOOL", "INTEGER"):
        return fallback
    if kind == "LIST":
        return "{" + ", ".join(f'"{item}"' for item in fallback.split(", ") if item) + "}"
    return f'"{fallback}"'


def options_of(table):
    """Key to default of one table of config_options.c; None where the build decides."""
    found = {}
    call = (r'\b(?:CONFIG|DRAFT|DATABASE|OPTION)\((\w+), "(\w+)",(?: struct \w+,)? [\w.]+, '
            rf"(?:{STRING}|(\w+))")
    for kind, key, fallback, name in re.findall(call, table):
        found[key] = None if name else written(kind, fallback)
    literal = rf'\.name = "(\w+)",\s*\.type = POSTERN_OPTION_(\w+),[^}}]*?\.fallback = {STRING}'
    for key, kind, fallback in re.findall(literal, table):
        found[key] = written(kind, fallback)
    return found


def keys_in_code():
    code = text_of("src/runtime/config_options.c")
    tables = dict(re.findall(r"const struct postern_option (\w+)\[\] = \{(.*?)\n\};", code, re.S))
    names = dict(re.findall(r'\{"(\w*)", (\w+_options)\}', code))
    names |= {"database": "config_database_options", "plugin": "config_plugin_options"}
    assert sorted(names.values()) == sorted(tables)
    return {(section, key): default for section, table in names.items()
            for key, default in options_of(tables[table]).items()}


def keys_in_manual():
    """.It Ic KEY No = Li DEFAULT, below .Ss SECTION"""
    found, section = {}, None
    for line in text_of("docs/postern.conf.5").splitlines():
        if line.startswith(".Ss "):
            name = line.removeprefix(".Ss ").strip('"')
            section = "" if name == "Outside of sections" else name
        item = re.match(r"\.It Ic (\w+) No = Li (.*)", line)
        if item:
            found[section, item[1]] = item[2].replace(r"\(dq", '"')
    return found


def test_every_key_is_in_the_manual_and_no_other():
    assert sorted(keys_in_manual()) == sorted(keys_in_code())


@pytest.mark.parametrize("place", sorted(keys_in_code()), ids=".".join)
def test_default_in_the_manual_is_that_of_the_code(place):
    default = keys_in_code()[place]
    assert default is None or keys_in_manual()[place] == default


def test_every_key_is_in_the_sample():
    sample = text_of("etc/postern.conf")
    missing = [key for _, key in keys_in_code()
               if not re.search(rf"^\s*#?\s*{key}(?: =|  )", sample, re.M)]
    assert not missing


def test_sections_of_the_manual_have_an_example():
    manual = text_of("docs/postern.conf.5")
    parts = manual.split("\n.Ss ")[1:]
    assert parts
    assert all(".Bd -literal" in part for part in parts)


# --- plugins ---

@pytest.mark.parametrize("name", PLUGINS)
def test_options_of_a_plugin_are_in_its_page_with_their_defaults(name):
    call = rf"POSTERN_OPTION\(\w+, struct options, (\w+),\s*{STRING}"
    declared = dict(re.findall(call, sources(f"plugins/{name}")))
    page = text_of(f"plugins/{name}/README.md")
    shown = dict(re.findall(r"^\| (\w+) \| (.*?) \|", page, re.M))
    shown.pop("option", None)
    assert sorted(shown) == sorted(declared)
    assert {key: shown[key] for key, fallback in declared.items() if fallback} == \
        {key: fallback for key, fallback in declared.items() if fallback}


@pytest.mark.parametrize("name", PLUGINS)
def test_page_of_a_plugin_has_its_states_and_priority(name):
    code = sources(f"plugins/{name}")
    priority = re.search(r"\.priority = (-?\d+)", code)[1]
    states = re.search(r"\.states = ([\w| \n]+)", code)[1]
    words = [word.strip().removeprefix("POSTERN_").replace("_", "-") for word in states.split("|")]
    page = text_of(f"plugins/{name}/README.md")
    line = re.search(r"^States: (.*?)\. Priority: (-?\d+)\.", page, re.M)
    assert line, "no line `States: ... Priority: ...`"
    assert line[1].split(", ") == words
    assert line[2] == priority


# --- metrics ---

def metrics_in_code():
    types = {"STATE": "gauge"}
    return {name: types.get(kind, kind.lower()) for kind, name in
            re.findall(r'metric_register\(\s*METRIC_(\w+),\s*"(\w+)"', sources("src"))}


def metrics_named_in(path):
    names = re.findall(r"\bpostern_\w+", text_of(path))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def test_every_metric_is_explained_with_its_type_and_no_other():
    rows = re.findall(r"^\| `(postern_\w+)` \| (\w+) \|", text_of("docs/metrics.md"), re.M)
    assert dict(rows) == metrics_in_code()


@pytest.mark.parametrize("path", ["etc/prometheus/postern.rules.yml", "etc/grafana/postern.json",
                                  "docs/metrics.md"])
def test_only_metrics_that_there_are_are_named(path):
    assert metrics_named_in(path)
    assert metrics_named_in(path) <= set(metrics_in_code())


def test_alerts_are_those_that_the_page_names():
    rules = re.findall(r"- alert: (\w+)", text_of("etc/prometheus/postern.rules.yml"))
    named = re.findall(r"\bPostern[A-Z]\w+", text_of("docs/metrics.md"))
    assert rules
    assert sorted(rules) == sorted(set(named))


def test_dashboard_has_panels_with_queries():
    dashboard = json.loads(text_of("etc/grafana/postern.json"))
    assert dashboard["panels"]
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert all(target["expr"] for target in panel["targets"])
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


# --- manual pages ---

def test_manual_pages_are_clean():
    pages = sorted((SOURCE / "docs").glob("*.[58]"))
    assert pages
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *pages],
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_options_of_posternd_are_in_its_manual():
    code = text_of("src/daemon/main.c")
    options = re.findall(r"\{\"(\w+)\", (?:no|required)_argument, NULL, '(\w)'\}", code)
    manual = re.findall(r"^\.It Fl (\w)(?: Ar \w+)? , Fl -(\w+)", text_of("docs/posternd.8"), re.M)
    assert options
    assert sorted((long, short) for short, long in manual) == sorted(options)


def test_signals_of_posternd_are_in_its_manual():
    signals = re.findall(r"\{(SIG\w+), ", text_of("src/daemon/master.c"))
    items = re.findall(r"^\.It Dv (.*)", text_of("docs/posternd.8"), re.M)
    shown = re.findall(r"SIG\w+", " ".join(items))
    assert shown
    assert set(shown) == set(signals) - {"SIGCHLD"}


def diagnostics():
    manual = text_of("docs/posternd.8").partition(".Sh DIAGNOSTICS")[2].partition(".Sh ")[0]
    return re.findall(r"^\.It (.*)", manual, re.M)


@pytest.mark.parametrize("item", diagnostics())
def test_message_in_the_manual_is_one_of_the_daemons(item):
    plain = re.sub(r"\bNo\b", " ", re.sub(r"\bQq Ar \w+|\b(?:Ar|Ns) \S+|\.\.\.", "\0", item))
    pieces = [re.sub(r"\s+", " ", piece).strip(" :,") for piece in plain.split("\0")]
    assert next(piece for piece in pieces if len(piece) >= 8) in sources("src")


def test_nouns_of_posternctl_are_in_its_manual():
    nouns = re.findall(r'const struct noun noun_\w+ = \{\s*"(\w+)"', sources("src/ctl"))
    page = SOURCE / "docs/posternctl.8"
    assert page.exists() == bool(nouns)
    manual = page.read_text() if nouns else ""
    missing = [noun for noun in nouns if not re.search(rf"^\.(It )?Cm {noun}\b", manual, re.M)]
    assert not missing


# --- fail2ban ---

PREFIX = r"(?:\S+ )?posternd\[\d+\]:\s+"
REJECTED = ("posternd[7]: client=192.0.2.7 state=RCPT sender=a@example.com "
            "recipient=b@example.org sasl= action=reject plugin=reject_to_hostname "
            'reason="this host" reply="REJECT Not authorized" ms=0.2')


def filter_lines():
    text = text_of("etc/fail2ban/filter.d/postern.conf")
    settings = dict(re.findall(r"^(\w+) = (.+)$", text, re.M))
    regex = settings["failregex"].replace("%(__prefix_line)s", PREFIX)
    regex = regex.replace("%(_value)s", settings["_value"]).replace("<plugin>", settings["plugin"])
    return re.compile(regex.replace("<ADDR>", r"(?P<ip>[\d.]+|[\da-f:]+)"))


@pytest.mark.parametrize("client", ["192.0.2.7", "2001:db8::1"])
def test_filter_finds_the_client_of_a_rejected_request(client):
    assert filter_lines().search(REJECTED.replace("192.0.2.7", client))["ip"] == client


def test_filter_understands_quoted_values():
    line = REJECTED.replace("sender=a@example.com", r'sender="\"a b\"@example.com"')
    assert filter_lines().search(line)["ip"] == "192.0.2.7"


DEFERRED = REJECTED.replace("action=reject", "action=defer")


@pytest.mark.parametrize("line", [
    DEFERRED,
    REJECTED.replace("client=", "shadow=reject_to_hostname client="),
    DEFERRED.replace("a@example.com", '"x action=reject plugin=y reason="'),
    DEFERRED.replace("a@example.com", r'"x\" recipient= sasl= action=reject plugin=y reason="'),
], ids=["deferred", "shadow", "sender", "quote"])
def test_filter_ignores_other_lines(line):
    assert not filter_lines().search(line)
