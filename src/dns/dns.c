#include "dns/dns.h"

#include "dns/dns_cache.h"
#include "dns/dns_client.h"
#include "runtime/metrics.h"
#include <assert.h>
#include <string.h>

#define UNDER_WAY_MAX 10000
#define ALIASES_MAX   8 /* that are asked for one by one, because an answer ends with them */

static struct {
    const struct config *config; /* NULL: not open */
    struct dns_client *client;
    bool has_client;
    struct dns_cache cache;
} resolver;

static metric queries_metric[POSTERN_DNS_FAILED + 1];

/* --- asking the servers --- */

static void on_done(void *context, const unsigned char *message, size_t size, const char *failure)
{
    struct dns_entry *entry = context;
    struct dns_reply reply = {.status = POSTERN_DNS_FAILED, .failure = failure};
    struct dns_question question = dns_entry_question(entry);
    if (message != NULL)
        dns_message_read(message, size, &question, &reply);
    metric_add(queries_metric[reply.status], 1);
    dns_cache_answer(&resolver.cache, entry, &reply);
}

static void ask(struct dns_entry *entry)
{
    struct dns_question question = dns_entry_question(entry);
    if (!resolver.has_client) {
        resolver.client = dns_client_new(resolver.config);
        resolver.has_client = true;
    }
    dns_client_ask(resolver.client, &question, on_done, entry);
}

/* --- one question --- */

static enum postern_dns_status fail(struct postern_dns_answer *answer, struct postern_arena *arena,
                                    const struct dns_question *question, const char *cause)
{
    char name[DNS_NAME_TEXT];
    answer->failure = postern_printf(arena, "%s of %s: %s", dns_type_word(question->type),
                                     dns_name_text(&question->name, name), cause);
    return answer->status = POSTERN_DNS_FAILED;
}

static void read_entry(const struct dns_entry *entry, const struct dns_question *question,
                       struct postern_arena *arena, struct postern_dns_answer *answer)
{
    const struct dns_reply *reply = &entry->reply;
    answer->status = reply->status;
    if (reply->status == POSTERN_DNS_FAILED) {
        fail(answer, arena, question, reply->failure);
        return;
    }
    if (reply->count == 0)
        return;
    answer->count = reply->count;
    answer->records = dns_records_copy(reply->records, reply->count, reply->size,
                                       postern_alloc(arena, reply->size));
}

/* The name that the answer ends with, of which nothing is known yet, comes into the question. */
static bool resolve(struct dns_question *question, struct postern_arena *arena, double deadline,
                    struct postern_dns_answer *answer)
{
    struct dns_cache *cache = &resolver.cache;
    struct dns_entry *entry = dns_cache_find(cache, question);
    bool is_new = entry == NULL;
    if (is_new && cache->asking >= UNDER_WAY_MAX) {
        fail(answer, arena, question, "10000 other questions are under way");
        return true;
    }
    if (is_new)
        entry = dns_cache_add(cache, question);
    entry->waiting++;
    if (is_new)
        ask(entry);
    while (entry->asking && fiber_cond_wait(&entry->answered, deadline))
        ;
    bool is_end = entry->asking || entry->reply.alias.length == 0;
    if (entry->asking)
        fail(answer, arena, question, "no answer before the deadline");
    else if (is_end)
        read_entry(entry, question, arena, answer);
    else
        question->name = entry->reply.alias;
    dns_entry_leave(entry);
    return is_end;
}

enum postern_dns_status dns_query(enum postern_dns_type type, const char *name,
                                  struct postern_arena *arena, double deadline,
                                  struct postern_dns_answer *answer)
{
    struct dns_question question = {.type = type};
    assert(resolver.config != NULL);
    *answer = (struct postern_dns_answer){.status = POSTERN_DNS_NO_NAME, .failure = ""};
    if (!dns_name_parse(name, &question.name))
        return answer->status;
    for (size_t i = 0; i <= ALIASES_MAX; i++)
        if (resolve(&question, arena, deadline, answer))
            return answer->status;
    return fail(answer, arena, &question, "too many aliases lead here");
}

/* --- the process's resolver --- */

void dns_register_metrics(void)
{
    static const char *const labels[] = {
        [POSTERN_DNS_FOUND] = "result=\"found\"",
        [POSTERN_DNS_NO_DATA] = "result=\"no_data\"",
        [POSTERN_DNS_NO_NAME] = "result=\"no_name\"",
        [POSTERN_DNS_FAILED] = "result=\"failed\"",
    };
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++)
        queries_metric[i] = metric_register(METRIC_COUNTER, "postern_dns_queries_total", labels[i],
                                            "Questions put to DNS servers, by what came of them.");
}

void dns_open(const struct config *config)
{
    resolver.config = config;
}

void dns_close(void)
{
    dns_client_free(resolver.client);
    dns_cache_clear(&resolver.cache);
    resolver.client = NULL;
    resolver.has_client = false;
    resolver.config = NULL;
}
