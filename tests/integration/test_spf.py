"""behaviour of the plugin spf, of greylisting's bypass and of `posternctl spf check`, on the wire."""
import json
import select
import socket
import time

import pytest

from harness.build import is_sanitized
from harness.dns import DnsServer
from harness.load import at_once
from harness.policy import encode, rcpt

HOST = socket.gethostname()
DEFERRED = "451 4.7.1 Intentional policy rejection, please try again later"
MOST_QUERIES = 1 + 10 * 11 + 1 + 11  # of one evaluation, whatever the records say

ZONES = {
    "pass.example": {"TXT": ["v=spf1 ip4:192.0.2.7 -all"]},
    "fail.example": {"TXT": ["v=spf1 -all"]},
    "explained.example": {"TXT": ["v=spf1 -all exp=why.explained.example"]},
    "why.explained.example": {"TXT": ["%{i} is none of ours"]},
    "softfail.example": {"TXT": ["v=spf1 ~all"]},
    "neutral.example": {"TXT": ["v=spf1 ?all"]},
    "default.example": {"TXT": ["v=spf1 ip4:203.0.113.1"]},
    "broken.example": {"TXT": ["v=spf1 nonsense"]},
    "failing.example": {"rcode": "SERVFAIL"},
    "none.example": {"A": ["192.0.2.7"]},
    "helo.example": {"TXT": ["v=spf1 a -all"], "A": ["192.0.2.7"]},
    "silent.example": {"silent": True},
    "srs.example": {"TXT": ["v=spf1 ip4:192.0.2.7 -all"]},
    "itself.example": {"TXT": ["v=spf1 include:itself.example -all"]},
    "many.example": {"TXT": ["v=spf1 " + " ".join(f"include:i{i}.many.example" for i in range(500))
                             + " +all"]},
    "*.many.example": {"TXT": ["v=spf1 ?all"]},
    "long.example": {"TXT": ["v=spf1 " + "ip4:203.0.113.9 " * 3700 + "ip4:192.0.2.7 -all"]},
    "hosts.example": {"TXT": ["v=spf1" + 10 * " mx:mx.hosts.example" + " -all"]},
    "mx.hosts.example": {"MX": [[10, f"h{i}.hosts.example"] for i in range(10)]},
    "*.hosts.example": {"A": ["203.0.113.1"]},
    "names.example": {"TXT": ["v=spf1" + 9 * " mx:mx.hosts.example" + " ptr -all exp=%{p}.names.example"]},
    "8.2.0.192.in-addr.arpa": {"PTR": [f"p{i}.hosts.example" for i in range(30)]},
    "*.names.example": {"TXT": ["no"]},
    "void.example": {"TXT": ["v=spf1 a:x1.test a:x2.test a:x3.test a:x4.test +all"]},
    **{f"c{i}.chain.example": {"TXT": [f"v=spf1 include:c{i + 1}.chain.example -all"]}
       for i in range(40)},
}


@pytest.fixture(scope="module")
def dns():
    with DnsServer(ZONES) as server:
        yield server


@pytest.fixture(scope="module")
def daemon(shared_postern, dns):
    return shared_postern(plugins=["spf"], sections={"dns": dns.section(timeout="1s")},
                          mynetworks=["198.51.100.0/24"], spf_timeout="5s")


@pytest.fixture
def spf_with(postern, dns):
    """Makes a daemon with other options."""
    def make(**options):
        return postern(plugins=["spf"], options={"spf": options},
                       sections={"dns": dns.section(timeout="1s")})
    return make


def of(domain, **attributes):
    return rcpt(sender=f"alice@{domain}", **attributes)


def header(action):
    assert action.startswith("PREPEND ")
    return action.removeprefix("PREPEND ")


# --- actions ---

def test_fail_is_rejected_with_5_7_23(daemon):
    assert daemon.ask(of("fail.example")) == (
        "550 5.7.23 SPF check of MAIL FROM failed: fail.example does not let 192.0.2.7 send mail "
        "for it")


def test_fail_tells_the_domains_explanation(daemon):
    assert daemon.ask(of("explained.example")) == (
        "550 5.7.23 SPF check of MAIL FROM failed. explained.example explains: "
        "192.0.2.7 is none of ours")


@pytest.mark.parametrize("domain", ["softfail", "neutral", "none", "broken", "failing", "pass"])
def test_other_results_are_let_through_by_default(daemon, domain):
    result = {"broken": "permerror", "failing": "temperror"}.get(domain, domain)
    assert daemon.ask(of(f"{domain}.example")).startswith(f"PREPEND Received-SPF: {result} ")


@pytest.mark.parametrize("option, value, domain, reply", [
    ("on_fail", "none", "fail", "PREPEND Received-SPF: fail "),
    ("on_fail", "defer", "fail", "451 4.7.23 "),
    ("on_softfail", "reject", "softfail", "550 5.7.23 "),
    ("on_softfail", "defer", "softfail", "451 4.7.23 "),
    ("on_permerror", "reject", "broken", '550 5.7.24 SPF check of MAIL FROM could not be done: '
     'broken.example: "nonsense": there is no such mechanism'),
    ("on_permerror", "defer", "broken", "451 4.7.24 "),
    ("on_temperror", "defer", "failing", "451 4.4.3 SPF check of MAIL FROM could not be done: "),
])
def test_options_say_what_is_answered(spf_with, option, value, domain, reply):
    assert spf_with(**{option: value}).ask(of(f"{domain}.example")).startswith(reply)


def test_reply_quotes_no_bytes_of_a_record_that_are_not_printable(spf_with, dns):
    dns.set("binary.example", TXT=["v=spf1 \xff\x1b[31m\0 -all"])
    assert spf_with(on_permerror="reject").ask(of("binary.example")) == (
        '550 5.7.24 SPF check of MAIL FROM could not be done: binary.example: "??[31m": '
        'there is no such mechanism')


def test_temperror_can_not_be_rejected(postern, dns):
    daemon = postern(plugins=["spf"], options={"spf": {"on_temperror": "reject"}},
                     start=False, init=False)
    assert "on_temperror" in daemon.run("-t", "-c", daemon.config).stderr


def test_helo_is_checked_for_the_null_sender(daemon):
    assert "Received-SPF: pass (" in daemon.ask(rcpt(sender="", helo_name="helo.example"))
    assert daemon.ask(rcpt(sender="", helo_name="helo.example", client_address="192.0.2.9")) == (
        "550 5.7.23 SPF check of HELO failed: helo.example does not let 192.0.2.9 send mail for it")


def test_authenticated_users_and_trusted_clients_are_not_checked(daemon, dns):
    dns.forget_counts()
    assert daemon.ask(of("fail.example", sasl_username="alice@fail.example")) == "DUNNO"
    assert daemon.ask(of("fail.example", client_address="198.51.100.7")) == "DUNNO"
    assert daemon.ask(of("fail.example", client_address="127.0.0.1")) == "DUNNO"
    assert daemon.ask(of("fail.example", client_address="unknown")) == "DUNNO"
    assert dns.count() == 0


def test_skipped_domains_are_not_checked(spf_with, dns):
    daemon = spf_with(skip_domains=["fail.example", ".explained.example"])
    dns.forget_counts()
    assert daemon.ask(of("FAIL.example")) == "DUNNO"
    assert daemon.ask(of("explained.example")) == "DUNNO"
    assert daemon.ask(of("sub.explained.example")) == "DUNNO"
    assert daemon.ask(rcpt(sender="", helo_name="fail.example")) == "DUNNO"
    assert dns.count() == 0
    assert daemon.ask(of("sub.fail.example")) != "DUNNO"


@pytest.mark.parametrize("local", ["", "a b", '"', "a..b", "a@b"])
def test_local_part_that_is_none_does_not_lead_past_the_domains_record(spf_with, local):
    daemon = spf_with(skip_domains=["helo.example"])
    assert daemon.ask(rcpt(sender=f"{local}@fail.example", helo_name="helo.example")).startswith(
        "550 5.7.23 SPF check of MAIL FROM failed: fail.example ")


# --- headers ---

def test_received_spf_has_the_form_of_rfc_7208(daemon):
    assert header(daemon.ask(of("pass.example"))) == (
        f"Received-SPF: pass ({HOST}: pass.example designates 192.0.2.7 as permitted sender) "
        f'receiver={HOST}; client-ip=192.0.2.7; helo=mx.sender.example; '
        'envelope-from="alice@pass.example"; identity=mailfrom; mechanism="ip4:192.0.2.7"')
    assert header(daemon.ask(of("default.example"))).endswith("; mechanism=default")
    assert header(daemon.ask(of("broken.example"))).endswith(
        'problem="broken.example: \\"nonsense\\": there is no such mechanism"')
    assert 'client-ip="2001:db8::7";' in daemon.ask(of("none.example", client_address="2001:db8::7"))


def test_authentication_results_have_the_form_of_rfc_8601(spf_with):
    daemon = spf_with(header="authentication_results")
    assert header(daemon.ask(of("pass.example"))) == (
        f"Authentication-Results: {HOST}; spf=pass smtp.mailfrom=alice@pass.example")
    assert header(daemon.ask(rcpt(sender="", helo_name="helo.example"))) == (
        f"Authentication-Results: {HOST}; spf=pass smtp.helo=helo.example")


def test_no_header_is_added_where_none_is_wanted(spf_with):
    assert spf_with(header="none").ask(of("pass.example")) == "DUNNO"


def test_a_message_gets_one_header(daemon):
    with daemon.policy() as client:
        answers = [client.request(of("pass.example", instance="one", recipient=f"r{i}@example.org"))
                   for i in range(3)]
        assert [answer.split(":")[0] for answer in answers] == ["PREPEND Received-SPF", "DUNNO",
                                                               "DUNNO"]
        assert client.request(of("pass.example", instance="two")).startswith("PREPEND ")


@pytest.mark.parametrize("kind", ["received_spf", "authentication_results"])
@pytest.mark.parametrize("attributes", [
    {"sender": '"a; spf=pass (x)"@none.example'},
    {"sender": '"a\\" b=c;"@none.example'},
    {"sender": "ünï@none.example"},
    {"sender": "", "helo_name": 'x) spf=pass "y\\'},
    {"sender": "", "helo_name": "x\ty\r"},
    {"sender": "", "helo_name": "x" * 2000},
    {"sender": '"' + '\\"' * 500 + '"@' + f"{4 * ('x' * 60 + '.')}example",
     "helo_name": '"' * 2000, "client_address": "2001:db8:1111:1111:1111:1111:1111:1111"},
])
def test_headers_hold_nothing_that_the_client_could_make_them_say(spf_with, kind, attributes):
    line = header(spf_with(header=kind).ask(rcpt(**attributes)))
    assert line.isascii() and line.isprintable() and len(line) < 1000
    outside, quoted, escaped = "", False, False
    for c in line:  # what is not in a quoted-string
        if escaped:
            escaped = False
        elif quoted and c == "\\":
            escaped = True
        elif c == '"':
            quoted = not quoted
        elif not quoted:
            outside += c
    assert not quoted
    assert "spf=pass" not in outside and "b=c" not in outside
    assert outside.count("(") == outside.count(")") <= 1


# --- work is bounded ---

@pytest.mark.parametrize("domain, queries, result", [
    ("itself.example", 1, "permerror"),  # asked for once: the rest is remembered
    ("many.example", 1 + 10, "permerror"),
    ("c0.chain.example", 1 + 10, "permerror"),
    ("long.example", 1, "pass"),
    ("void.example", 1 + 3, "permerror"),
])
def test_hostile_records_cost_no_more_than_the_limits_allow(spf_with, dns, domain, queries, result):
    daemon = spf_with(on_fail="none")
    dns.forget_counts()
    assert f"Received-SPF: {result} " in daemon.ask(of(domain))
    assert dns.count() == queries + dns.count(domain, "TXT") - 1  # those repeated by TCP
    daemon.wait_for_metric(1, "postern_spf_results_total", result=result)


@pytest.mark.parametrize("domain", ["hosts.example", "names.example"])
def test_no_evaluation_sends_more_queries_than_the_limits_allow(spf_with, dns, domain):
    daemon = spf_with()
    dns.update({name: {**dns.zones.names[name], "ttl": 0} for name in list(dns.zones.names)
                if name.endswith("hosts.example") or name.endswith("arpa")})
    dns.forget_counts()
    assert daemon.ask(of(domain, client_address="192.0.2.8")).startswith("550 5.7.23 ")
    assert dns.count() <= MOST_QUERIES


def test_an_evaluation_ends_with_spf_timeout(postern, dns):
    daemon = postern(plugins=["spf"], options={"spf": {"on_temperror": "defer"}},
                     sections={"dns": dns.section(timeout="50s")}, spf_timeout="1s",
                     request_timeout="100s")  # longer than the test would wait for an answer
    assert daemon.ask(of("silent.example")).startswith("451 4.4.3 ")


def test_a_slow_record_costs_its_own_request_alone(postern, dns):
    daemon = postern(plugins=["spf"], workers=1, sections={"dns": dns.section(timeout="10s")},
                     spf_timeout="60s", request_timeout="60s")
    dns.set("slow.example", silent=True)
    dns.forget_counts()
    slow = [daemon.policy() for _ in range(20)]
    try:
        for number, client in enumerate(slow):
            client.send(b"".join(f"{name}={value}\n".encode() for name, value in
                                 of("slow.example", recipient=f"r{number}@example.org").items())
                        + b"\n")
        while dns.count("slow.example") == 0:
            time.sleep(0.01)
        assert daemon.ask(of("pass.example")).startswith("PREPEND Received-SPF: pass ")
        assert all(answer.startswith("PREPEND ")
                   for answer in at_once(8, lambda number: daemon.ask(of("pass.example"))))
        daemon.wait_for_metric(0, "postern_spf_results_total", result="temperror")
    finally:
        for client in slow:
            client.close()


def resident_megabytes(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def test_answers_are_not_kept_while_an_evaluation_waits(postern, build, dns):
    dns.update({
        "hungry.example": {"TXT": ["v=spf1" + 9 * " mx:large.example" + " include:silent.example"]},
        "large.example": {"MX": [[10, f"h{i}.large.example"] for i in range(10)], "ttl": 3600},
        "*.large.example": {"A": [f"10.0.{i // 250}.{i % 250 + 1}" for i in range(1800)],
                            "ttl": 3600}})
    daemon = postern(plugins=["spf"], workers=1, sections={"dns": dns.section("50s")},
                     spf_timeout="5s", request_timeout="60s")
    daemon.ask(of("hungry.example"))
    pid, = daemon.workers()
    before = most = resident_megabytes(pid)
    clients = [daemon.policy() for _ in range(20)]
    for client in clients:
        client.send(encode(of("hungry.example")))
    while not select.select([client.socket for client in clients], [], [], 0.02)[0]:
        most = max(most, resident_megabytes(pid))
    for client in clients:
        assert " temperror " in client.read_action()
        client.close()
    if not is_sanitized(build):
        assert most - before < 40, f"{most - before:.0f} MB"


# --- greylisting ---

@pytest.fixture
def greylist(postern, database, dns):
    database_ready = postern(plugins=["greylisting"], database=database,
                             options={"greylisting": {"bypass_spf": True}},
                             sections={"dns": dns.section(timeout="1s"),
                                       "srs": {"domain": "srs.example", "secrets": ["secret"]}})
    database.set_greylisting("@.", "@.", active=True)
    return database_ready


def test_senders_that_pass_spf_are_not_greylisted(greylist):
    assert greylist.ask(of("pass.example")) == "DUNNO"
    assert greylist.database.triplets() == []
    greylist.wait_for_log("SPF passes for pass.example")


@pytest.mark.parametrize("domain", ["fail", "softfail", "neutral", "none", "broken", "failing"])
def test_senders_that_do_not_pass_spf_are_greylisted(greylist, domain):
    assert greylist.ask(of(f"{domain}.example")) == DEFERRED


def test_the_null_sender_is_let_past_by_its_helo(greylist):
    assert greylist.ask(rcpt(sender="", helo_name="helo.example")) == "DUNNO"
    assert greylist.ask(rcpt(sender="", helo_name="fail.example")) == DEFERRED


def test_senders_of_the_srs_domain_are_greylisted_whatever_its_record(greylist, dns):
    dns.forget_counts()
    assert greylist.ask(of("srs.example")) == DEFERRED
    assert dns.count() == 0


def test_spf_is_not_asked_for_without_the_option(postern, database, dns):
    daemon = postern(plugins=["greylisting"], database=database,
                     sections={"dns": dns.section(timeout="1s")})
    database.set_greylisting("@.", "@.", active=True)
    dns.forget_counts()
    assert daemon.ask(of("pass.example")) == DEFERRED
    assert dns.count() == 0


def test_plugins_of_a_request_share_one_evaluation(postern, dns):
    daemon = postern(plugins=["spf", "greylisting"],
                     options={"greylisting": {"bypass_spf": True}, "spf": {"header": "none"}},
                     sections={"dns": dns.section(timeout="1s")})
    daemon.database.set_greylisting("@.", "@.", active=True)
    assert daemon.ask(of("pass.example")) == "DUNNO"
    assert daemon.ask(of("softfail.example")) == DEFERRED
    daemon.wait_for_metric(1, "postern_spf_results_total", result="pass")
    daemon.wait_for_metric(1, "postern_spf_results_total", result="softfail")


# --- posternctl ---

def check(daemon, *arguments):
    return daemon.ctl("spf", "check", *arguments)


def test_posternctl_tells_the_result_first_and_then_why(daemon):
    done = check(daemon, "--ip", "192.0.2.7", "--sender", "a@pass.example")
    assert (done.returncode, done.stdout) == (
        0, "pass pass.example permits 192.0.2.7 (ip4:192.0.2.7)\n")
    done = check(daemon, "--ip", "192.0.2.7", "--sender", "a@explained.example")
    assert (done.returncode, done.stdout) == (
        0, "fail explained.example forbids 192.0.2.7 (-all)\n"
           "its explanation: 192.0.2.7 is none of ours\n")
    done = check(daemon, "--ip", "192.0.2.7", "--sender", "a@none.example")
    assert (done.returncode, done.stdout) == (0, "none none.example has no SPF record\n")
    done = check(daemon, "--ip", "192.0.2.7", "--sender", "a@broken.example")
    assert (done.returncode, done.stdout) == (
        0, 'permerror broken.example: "nonsense": there is no such mechanism\n')


def test_posternctl_cannot_reach_the_dns(daemon):
    done = check(daemon, "--ip", "192.0.2.7", "--sender", "a@failing.example")
    assert done.returncode == 3
    assert done.stdout.startswith("temperror failing.example: ")


def test_posternctl_checks_helo_for_the_null_sender(daemon):
    done = check(daemon, "--ip", "192.0.2.7", "--sender", "", "--helo", "helo.example", "--json")
    assert json.loads(done.stdout) == {
        "result": "pass", "identity": "helo", "sender": "postmaster@helo.example",
        "domain": "helo.example", "mechanism": "a", "problem": "", "explanation": ""}


@pytest.mark.parametrize("arguments", [
    ["--ip", "nonsense", "--sender", "a@b.example"],
    ["--ip", "192.0.2.7", "--sender", "nobody"],
    ["--ip", "192.0.2.7"],
    ["--sender", "a@b.example"],
    ["--ip", "192.0.2.7", "--sender", "a@b.example", "more"],
])
def test_posternctl_refuses_a_wrong_question(daemon, arguments):
    done = check(daemon, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
