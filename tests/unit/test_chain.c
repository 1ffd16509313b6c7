#include "fibers.h"

#include "policy/chain.h"
#include "policy/protocol.h"
#include "util/arena.h"

#include <string.h>

/* --- plugins that do what their options structure says --- */

struct behaviour {
    void (*act)(struct postern_request *req);
};

static char asked[64];

static void check(struct postern_request *req)
{
    const struct behaviour *behaviour = postern_options(req);
    strncat(asked, req->work->link->config->plugin->name, sizeof asked - strlen(asked) - 1);
    if (behaviour->act != NULL)
        behaviour->act(req);
}

static void reject(struct postern_request *req)
{
    postern_reason(req, "because");
    postern_reject(req, "no %s", "thanks");
}

static void reject_with_code(struct postern_request *req)
{
    postern_reject(req, "550 5.7.23 SPF\r\nQUIT");
}

static void defer_with_code(struct postern_request *req)
{
    postern_defer(req, "451 4.7.1 later");
}

static void reject_then_accept(struct postern_request *req)
{
    postern_reject(req, "first word");
    postern_accept(req, "OK");
}

static void accept_mail(struct postern_request *req)
{
    postern_accept(req, "permit_auth_destination");
}

static void accept_in_no_words(struct postern_request *req)
{
    postern_accept(req, "");
}

static void add_header(struct postern_request *req)
{
    postern_prepend(req, "X-First: 1");
}

static void add_other_header(struct postern_request *req)
{
    postern_prepend(req, "X-Second: 2");
}

static void lose_database(struct postern_request *req)
{
    postern_fail(req, "database down");
    postern_reject(req, "never said");
}

#define PLUGIN(letter, bits)                                                                       \
    {                                                                                              \
        .abi_version = POSTERN_ABI_VERSION, .name = letter, .states = bits, .check = check         \
    }
static const struct postern_plugin plugin_a = PLUGIN("a", POSTERN_RCPT);
static const struct postern_plugin plugin_b = PLUGIN("b", POSTERN_RCPT);
static const struct postern_plugin plugin_c = PLUGIN("c", POSTERN_END_OF_MESSAGE);

static struct behaviour acts[3];
static struct plugin_config plugins[3];
static struct config config;

static void set_up(void (*a)(struct postern_request *), void (*b)(struct postern_request *))
{
    acts[0].act = a;
    acts[1].act = b;
    acts[2].act = reject;
    plugins[0] = (struct plugin_config){.plugin = &plugin_a, .priority = 50, .options = &acts[0]};
    plugins[1] = (struct plugin_config){.plugin = &plugin_b, .priority = 50, .options = &acts[1]};
    plugins[2] = (struct plugin_config){.plugin = &plugin_c, .priority = 90, .options = &acts[2]};
    config = (struct config){.plugins = plugins,
                             .plugins_length = 3,
                             .request_timeout = 20,
                             .recipient_delimiters = "+"};
    asked[0] = '\0';
}

/* What the chain answers to a RCPT; texts are copied here. */
static struct {
    enum postern_action action;
    char reply[200], plugin[20], reason[100];
    bool failed;
} got;

static void run(void *arg)
{
    (void)arg;
    struct chain chain;
    struct postern_error error;
    assert_true(chain_open(&chain, &config, &error));
    struct postern_request *request = protocol_request_new();
    protocol_set(request, "protocol_state", "RCPT");
    request_derive(request, &config);
    struct request_work work = {.config = &config};
    request->work = &work;
    struct outcome outcome = chain_run(&chain, request);
    got.action = outcome.action;
    got.failed = outcome.failed;
    strncpy(got.reply, outcome.reply, sizeof got.reply - 1);
    strncpy(got.plugin, outcome.plugin, sizeof got.plugin - 1);
    strncpy(got.reason, outcome.reason, sizeof got.reason - 1);
    arena_free(request->arena);
    chain_close(&chain);
}

static void ask(void)
{
    memset(&got, 0, sizeof got);
    in_fiber(run, NULL);
}

static void no_opinion_of_anybody_is_dunno(void **state)
{
    (void)state;
    set_up(NULL, NULL);
    ask();
    assert_int_equal(got.action, POSTERN_DUNNO);
    assert_string_equal(got.reply, "DUNNO");
    assert_string_equal(got.plugin, "none");
    assert_string_equal(asked, "ab");
}

static void first_word_ends_the_chain(void **state)
{
    (void)state;
    set_up(reject, accept_mail);
    ask();
    assert_int_equal(got.action, POSTERN_REJECT);
    assert_string_equal(got.reply, "REJECT no thanks");
    assert_string_equal(got.reason, "because");
    assert_string_equal(got.plugin, "a");
    assert_string_equal(asked, "a");
    set_up(reject_then_accept, NULL);
    ask();
    assert_string_equal(got.reply, "REJECT first word");
}

static void larger_priority_is_asked_earlier(void **state)
{
    (void)state;
    set_up(NULL, NULL);
    plugins[1].priority = 60;
    ask();
    assert_string_equal(asked, "ba");
}

static void reply_code_is_kept_and_control_characters_are_not(void **state)
{
    (void)state;
    set_up(reject_with_code, NULL);
    ask();
    assert_string_equal(got.reply, "550 5.7.23 SPF??QUIT");
    set_up(defer_with_code, NULL);
    ask();
    assert_string_equal(got.reply, "451 4.7.1 later");
    assert_int_equal(got.action, POSTERN_DEFER);
}

static void acceptance_is_said_in_the_plugins_words(void **state)
{
    (void)state;
    set_up(accept_mail, reject);
    ask();
    assert_int_equal(got.action, POSTERN_ACCEPT);
    assert_string_equal(got.reply, "permit_auth_destination");
    set_up(accept_in_no_words, NULL);
    ask();
    assert_string_equal(got.reply, "OK");
}

static void header_lets_the_chain_go_on_and_the_first_one_is_sent(void **state)
{
    (void)state;
    set_up(add_header, add_other_header);
    ask();
    assert_int_equal(got.action, POSTERN_PREPEND);
    assert_string_equal(got.reply, "PREPEND X-First: 1");
    assert_string_equal(asked, "ab");
    set_up(add_header, reject);
    ask();
    assert_string_equal(got.reply, "REJECT no thanks");
}

static void shadowed_plugin_is_not_heard(void **state)
{
    (void)state;
    set_up(reject, NULL);
    plugins[0].shadow = true;
    ask();
    assert_int_equal(got.action, POSTERN_DUNNO);
    assert_string_equal(asked, "ab");
    set_up(lose_database, NULL);
    plugins[0].shadow = true;
    ask();
    assert_false(got.failed);
}

static void failed_lookup_ends_the_chain_with_on_error(void **state)
{
    (void)state;
    set_up(lose_database, reject);
    ask();
    assert_true(got.failed);
    assert_string_equal(got.reply, "DUNNO");
    assert_string_equal(got.plugin, "a");
    assert_string_equal(got.reason, "failed: database down");
    assert_string_equal(asked, "a");
    set_up(lose_database, reject);
    config.on_error = ON_ERROR_DEFER;
    ask();
    assert_int_equal(got.action, POSTERN_DEFER);
    assert_int_equal(strncmp(got.reply, "451 4.3.0 ", 10), 0);
}

static void failure_of_a_plugin_beside_the_answer_changes_nothing(void **state)
{
    (void)state;
    set_up(lose_database, NULL);
    config.on_error = ON_ERROR_DEFER;
    struct postern_plugin beside = plugin_a;
    beside.aside = true;
    plugins[0].plugin = &beside;
    ask();
    assert_false(got.failed);
    assert_int_equal(got.action, POSTERN_DUNNO);
    assert_string_equal(asked, "ab");
}

static void time_that_has_run_out_is_a_failure(void **state)
{
    (void)state;
    set_up(NULL, reject);
    config.request_timeout = 0;
    ask();
    assert_true(got.failed);
    assert_string_equal(asked, "a");
}

static bool refuse_init(const void *options, void **state, struct postern_error *error)
{
    (void)options, (void)state;
    return postern_error_set(error, "not today");
}

static void refused_init_names_the_plugin(void **state)
{
    (void)state;
    set_up(NULL, NULL);
    struct postern_plugin refusing = plugin_b;
    refusing.init = refuse_init;
    plugins[1].plugin = &refusing;
    struct chain chain;
    struct postern_error error;
    assert_false(chain_open(&chain, &config, &error));
    assert_string_equal(error.text, "plugin b: not today");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_opinion_of_anybody_is_dunno),
        cmocka_unit_test(first_word_ends_the_chain),
        cmocka_unit_test(larger_priority_is_asked_earlier),
        cmocka_unit_test(reply_code_is_kept_and_control_characters_are_not),
        cmocka_unit_test(acceptance_is_said_in_the_plugins_words),
        cmocka_unit_test(header_lets_the_chain_go_on_and_the_first_one_is_sent),
        cmocka_unit_test(shadowed_plugin_is_not_heard),
        cmocka_unit_test(failed_lookup_ends_the_chain_with_on_error),
        cmocka_unit_test(failure_of_a_plugin_beside_the_answer_changes_nothing),
        cmocka_unit_test(time_that_has_run_out_is_a_failure),
        cmocka_unit_test(refused_init_names_the_plugin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
