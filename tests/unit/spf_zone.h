/* SPF against a zone of the test's own, which also remembers what it was asked. */
#ifndef TESTS_UNIT_SPF_ZONE_H
#define TESTS_UNIT_SPF_ZONE_H

#include "dns/spf.h"
#include "runtime/fiber.h"
#include "util/arena.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define A(name, address)                                                                           \
    {                                                                                              \
        POSTERN_DNS_A, name, address                                                               \
    }
#define AAAA(name, address)                                                                        \
    {                                                                                              \
        POSTERN_DNS_AAAA, name, address                                                            \
    }
#define MX(name, host)                                                                             \
    {                                                                                              \
        POSTERN_DNS_MX, name, host                                                                 \
    }
#define PTR(name, host)                                                                            \
    {                                                                                              \
        POSTERN_DNS_PTR, name, host                                                                \
    }
#define TXT(name, text)                                                                            \
    {                                                                                              \
        POSTERN_DNS_TXT, name, text                                                                \
    }
#define FAILS NULL /* in place of an address, a host or a text: the server fails */

struct zone_record {
    enum postern_dns_type type;
    const char *name; /* NULL ends a zone */
    const char *data;
};

static const struct zone_record *zone;
static const char *own_record; /* the SPF record of example.com, before those of the zone */
static size_t own_length;      /* 0: its strlen */
static struct postern_arena *zone_arena;
static const char *asked[400]; /* "TXT example.com" */
static size_t asked_count;
static double zone_deadline = NEVER;
static struct postern_spf spf; /* the last answer */

static inline void set_data(struct postern_dns_record *record, enum postern_dns_type type,
                            const char *data)
{
    if (type == POSTERN_DNS_A || type == POSTERN_DNS_AAAA)
        assert_true(postern_ip_parse(data, &record->ip));
    record->name = record->text = data;
    record->length = strlen(data);
}

static inline enum postern_dns_status zone_lookup(enum postern_dns_type type, const char *name,
                                                  struct postern_arena *arena, double deadline,
                                                  struct postern_dns_answer *answer)
{
    static const char *const types[] = {"A", "AAAA", "MX", "TXT", "PTR"};
    assert_true(deadline == zone_deadline);
    assert_true(asked_count < sizeof asked / sizeof asked[0]);
    asked[asked_count++] = postern_printf(zone_arena, "%s %s", types[type], name);

    struct postern_dns_record *records = postern_alloc(arena, 64 * sizeof *records);
    bool exists = false;
    *answer = (struct postern_dns_answer){.records = records, .failure = ""};
    if (own_record != NULL && type == POSTERN_DNS_TXT && strcasecmp(name, "example.com") == 0) {
        records[0].text = own_record;
        records[0].length = own_length > 0 ? own_length : strlen(own_record);
        answer->count = 1;
    }
    for (const struct zone_record *each = zone; each != NULL && each->name != NULL; each++) {
        if (strcasecmp(each->name, name) != 0)
            continue;
        exists = true;
        if (each->type != type)
            continue;
        if (each->data == FAILS) {
            answer->count = 0;
            answer->failure = "SERVFAIL";
            return answer->status = POSTERN_DNS_FAILED;
        }
        assert_true(answer->count < 64);
        set_data(&records[answer->count++], type, each->data);
    }
    return answer->status = answer->count > 0 ? POSTERN_DNS_FOUND
                            : exists          ? POSTERN_DNS_NO_DATA
                                              : POSTERN_DNS_NO_NAME;
}

static inline enum postern_spf_result ask_helo(const char *client, const char *sender,
                                               const char *helo)
{
    struct spf_question question = {.sender = sender,
                                    .helo = helo,
                                    .host = "receiver.test",
                                    .lookup = zone_lookup,
                                    .deadline = zone_deadline,
                                    .arena = zone_arena};
    assert_true(postern_ip_parse(client, &question.client));
    asked_count = 0;
    spf_evaluate(&question, &spf);
    return spf.result;
}

static inline enum postern_spf_result ask(const char *client, const char *sender)
{
    return ask_helo(client, sender, "helo.example.net");
}

static inline void assert_result(enum postern_spf_result result, enum postern_spf_result expected)
{
    if (result != expected)
        fail_msg("%s, not %s (%s%s)", postern_spf_word(result), postern_spf_word(expected),
                 spf.mechanism, spf.problem);
    bool is_error = result == POSTERN_SPF_TEMPERROR || result == POSTERN_SPF_PERMERROR;
    assert_int_equal(spf.problem[0] != '\0', is_error);
}

/* Of a@example.com with that record, from 192.0.2.1. */
static inline void assert_record(const char *record, enum postern_spf_result expected)
{
    own_record = record;
    assert_result(ask("192.0.2.1", "a@example.com"), expected);
}

static inline void assert_record6(const char *record, enum postern_spf_result expected)
{
    own_record = record;
    assert_result(ask("2001:db8::1", "a@example.com"), expected);
}

static inline bool was_asked(const char *question)
{
    for (size_t i = 0; i < asked_count; i++)
        if (strcmp(asked[i], question) == 0)
            return true;
    return false;
}

static inline void assert_asked(const char *question)
{
    if (was_asked(question))
        return;
    for (size_t i = 0; i < asked_count; i++)
        print_message("asked: %s\n", asked[i]);
    fail_msg("'%s' was not asked", question);
}

static int zone_setup(void **state)
{
    (void)state;
    zone = NULL;
    own_record = NULL;
    own_length = 0;
    asked_count = 0;
    zone_deadline = NEVER;
    zone_arena = arena_new();
    return 0;
}

static int zone_teardown(void **state)
{
    (void)state;
    arena_free(zone_arena);
    return 0;
}

#define zone_test(function) cmocka_unit_test_setup_teardown(function, zone_setup, zone_teardown)

#define NONE      POSTERN_SPF_NONE
#define NEUTRAL   POSTERN_SPF_NEUTRAL
#define PASS      POSTERN_SPF_PASS
#define FAIL      POSTERN_SPF_FAIL
#define SOFTFAIL  POSTERN_SPF_SOFTFAIL
#define TEMPERROR POSTERN_SPF_TEMPERROR
#define PERMERROR POSTERN_SPF_PERMERROR

#define ZONE(...)                                                                                  \
    (const struct zone_record[])                                                                   \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            POSTERN_DNS_A, NULL, NULL                                                              \
        }                                                                                          \
    }

#endif
