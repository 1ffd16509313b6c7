/* What an SPF evaluation says, and why. */
#include "ctl/nouns.h"
#include "ctl/output.h"
#include "dns/dns.h"
#include "dns/spf.h"
#include "runtime/fiber.h"

#include <string.h>
#include <unistd.h>

static enum ctl_status read_question(struct ctl *ctl, struct spf_question *question)
{
    const char *ip = ctl_option(ctl, "ip"), *helo = ctl_option(ctl, "helo");
    question->sender = ctl_option(ctl, "sender");
    question->helo = helo != NULL ? helo : "";
    if (!postern_ip_parse(ip, &question->client)) {
        ctl_complain("--ip: `%s` is not an IP address; expected 192.0.2.1 or 2001:db8::1", ip);
        return CTL_USAGE;
    }
    if (strchr(question->sender, '@') == NULL && helo == NULL) {
        ctl_complain("--sender: `%s` has no domain, so the HELO name would be checked: give --helo",
                     question->sender);
        return CTL_USAGE;
    }
    return CTL_DONE;
}

/* What a result says of the client, after the domain's name. */
static const char *const verbs[POSTERN_SPF_RESULTS] = {
    [POSTERN_SPF_NONE] = "has no SPF record", [POSTERN_SPF_NEUTRAL] = "says nothing about",
    [POSTERN_SPF_PASS] = "permits",           [POSTERN_SPF_FAIL] = "forbids",
    [POSTERN_SPF_SOFTFAIL] = "discourages",
};

static const char *reason(struct ctl *ctl, const struct spf_question *question,
                          const struct postern_spf *spf)
{
    char ip[POSTERN_IP_TEXT];
    const char *mechanism = spf->mechanism[0] != '\0' ? spf->mechanism : "no mechanism matches";
    if (spf->problem[0] != '\0')
        return spf->problem;
    if (spf->result == POSTERN_SPF_NONE)
        return postern_printf(ctl->arena, "%s %s", spf->domain, verbs[spf->result]);
    return postern_printf(ctl->arena, "%s %s %s (%s)", spf->domain, verbs[spf->result],
                          postern_ip_text(&question->client, ip), mechanism);
}

static void print_text(struct ctl *ctl, const struct spf_question *question,
                       const struct postern_spf *spf)
{
    buffer_printf(ctl->out, "%s ", postern_spf_word(spf->result));
    output_text(ctl->out, reason(ctl, question, spf));
    buffer_char(ctl->out, '\n');
    if (spf->explanation[0] == '\0')
        return;
    buffer_text(ctl->out, "its explanation: ");
    output_text(ctl->out, spf->explanation);
    buffer_char(ctl->out, '\n');
}

static void print_json(struct ctl *ctl, const struct postern_spf *spf)
{
    const struct {
        const char *key, *value;
    } members[] = {
        {"result", postern_spf_word(spf->result)},
        {"identity", spf->is_helo ? "helo" : "mailfrom"},
        {"sender", spf->sender},
        {"domain", spf->domain},
        {"mechanism", spf->mechanism},
        {"problem", spf->problem},
        {"explanation", spf->explanation},
    };
    struct json json = json_on(ctl->out);
    json_object(&json);
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        json_key(&json, members[i].key);
        json_string(&json, members[i].value);
    }
    json_object_end(&json);
}

static enum ctl_status check(struct ctl *ctl)
{
    char host[256] = "";
    struct postern_error error;
    struct postern_spf spf;
    struct spf_question question = {.host = host, .lookup = dns_query, .arena = ctl->arena};
    enum ctl_status status = read_question(ctl, &question);
    if (status != CTL_DONE)
        return status;
    if (!postern_spf_is_built(&error)) {
        ctl_complain("%s", error.text);
        return CTL_UNREACHABLE;
    }
    gethostname(host, sizeof host - 1);
    question.deadline = fiber_now() + ctl_patience(ctl, (int)ctl->config->spf_timeout);
    spf_evaluate(&question, &spf);
    if (ctl->json)
        print_json(ctl, &spf);
    else
        print_text(ctl, &question, &spf);
    return spf.result == POSTERN_SPF_TEMPERROR ? CTL_UNREACHABLE : CTL_DONE;
}

static const struct command_option check_options[] = {
    {"ip", "IP", "the client that sends", true},
    {"sender", "ADDR", "the envelope sender; '' for the null sender", true},
    {"helo", "NAME", "what the client says it is; checked for a sender without a domain", false},
    {NULL},
};

static const struct command commands[] = {
    {"check", NULL, "whether a client may send for a sender's domain, by its SPF record",
     check_options, NEEDS_CONFIG, check},
    {NULL},
};

const struct noun noun_spf = {"spf", "what senders' domains permit", commands};
