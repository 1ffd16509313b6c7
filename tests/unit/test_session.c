#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/protocol.h"
#include "policy/session.h"
#include "util/arena.h"

#include <stdio.h>
#include <string.h>

static struct postern_request *request_new(enum postern_state state, const char *instance,
                                           const char *recipient)
{
    struct postern_request *request = protocol_request_new();
    request->state = state;
    request->instance = postern_strdup(request->arena, instance);
    request->recipient = postern_strdup(request->arena, recipient);
    return request;
}

static void pass_rcpt(struct session *session, const char *instance, const char *recipient)
{
    struct postern_request *request = request_new(POSTERN_RCPT, instance, recipient);
    session_recall(session, request);
    session_remember(session, request);
    arena_free(request->arena);
}

/* The request of another state, with what the session recalls of it; free its arena. */
static struct postern_request *recall(struct session *session, enum postern_state state,
                                      const char *instance, const char *recipient)
{
    struct postern_request *request = request_new(state, instance, recipient);
    session_recall(session, request);
    return request;
}

static void recipients_that_passed_are_known_at_end_of_message(void **state)
{
    (void)state;
    struct session session = {0};
    pass_rcpt(&session, "1", "a@x.example");
    pass_rcpt(&session, "1", "b@x.example");
    struct postern_request *end = recall(&session, POSTERN_END_OF_MESSAGE, "1", "");
    assert_int_equal(end->recipients_length, 2);
    assert_string_equal(end->recipients[0], "a@x.example");
    assert_string_equal(end->recipients[1], "b@x.example");
    assert_true(end->recipients_complete);
    arena_free(end->arena);
    session_forget(&session);
}

static void another_instance_starts_anew(void **state)
{
    (void)state;
    struct session session = {0};
    pass_rcpt(&session, "1", "a@x.example");
    struct postern_request *next = recall(&session, POSTERN_RCPT, "2", "c@x.example");
    assert_int_equal(next->recipients_length, 0);
    assert_true(next->recipients_complete);
    arena_free(next->arena);
    pass_rcpt(&session, "2", "c@x.example");
    struct postern_request *end = recall(&session, POSTERN_END_OF_MESSAGE, "2", "c@x.example");
    assert_int_equal(end->recipients_length, 1);
    arena_free(end->arena);
    session_forget(&session);
}

static void single_recipient_is_known_without_a_memory(void **state)
{
    (void)state;
    struct session session = {0};
    struct postern_request *end = recall(&session, POSTERN_END_OF_MESSAGE, "1", "a@x.example");
    assert_int_equal(end->recipients_length, 1);
    assert_string_equal(end->recipients[0], "a@x.example");
    assert_true(end->recipients_complete);
    arena_free(end->arena);
    end = recall(&session, POSTERN_END_OF_MESSAGE, "1", "");
    assert_int_equal(end->recipients_length, 0);
    assert_false(end->recipients_complete);
    arena_free(end->arena);
}

static void request_without_instance_is_not_remembered(void **state)
{
    (void)state;
    struct session session = {0};
    pass_rcpt(&session, "", "a@x.example");
    assert_null(session.arena);
}

static void memory_has_a_bound_and_says_when_it_is_reached(void **state)
{
    (void)state;
    struct session session = {0};
    char address[64];
    for (int i = 0; i < SESSION_RECIPIENTS + 5; i++) {
        snprintf(address, sizeof address, "user%d@x.example", i);
        pass_rcpt(&session, "1", address);
    }
    struct postern_request *end = recall(&session, POSTERN_END_OF_MESSAGE, "1", "");
    assert_int_equal(end->recipients_length, SESSION_RECIPIENTS);
    assert_false(end->recipients_complete);
    arena_free(end->arena);
    session_forget(&session);

    char long_address[8000];
    memset(long_address, 'x', sizeof long_address);
    long_address[sizeof long_address - 1] = '\0';
    for (int i = 0; i < 100; i++)
        pass_rcpt(&session, "2", long_address);
    assert_true(session.count < 100 && session.incomplete);
    assert_true(arena_used(session.arena) <= SESSION_BYTES + 4096);
    session_forget(&session);
}

static void written_memory_reads_back_the_same(void **state)
{
    (void)state;
    struct session session = {0}, copy = {0};
    pass_rcpt(&session, "7.1", "a@x.example");
    pass_rcpt(&session, "7.1", "b@x.example");
    pass_rcpt(&session, "7.1", "c@x.example");
    struct buffer out = {0};
    session_write(&session, &out, 1000);
    assert_true(session_read(&copy, out.data, out.length));
    assert_string_equal(copy.instance, "7.1");
    assert_int_equal(copy.count, 3);
    assert_string_equal(copy.recipients[2], "c@x.example");
    assert_false(copy.incomplete);

    buffer_clear(&out);
    session_write(&session, &out, 20); /* too small for the recipients */
    assert_true(out.length <= 20);
    assert_true(session_read(&copy, out.data, out.length));
    assert_int_equal(copy.count, 0);
    assert_true(copy.incomplete);
    buffer_free(&out);
    session_forget(&session);
    session_forget(&copy);
}

static void foreign_bytes_are_refused(void **state)
{
    (void)state;
    struct session session = {0};
    assert_true(session_read(&session, "", 0));
    assert_false(session_read(&session, "x", 1));
    assert_false(session_read(&session, "+", 2));
    assert_false(session_read(&session, "+\0abc", 5));
    assert_false(session_read(&session, "*\0a", 4));
    assert_null(session.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipients_that_passed_are_known_at_end_of_message),
        cmocka_unit_test(another_instance_starts_anew),
        cmocka_unit_test(single_recipient_is_known_without_a_memory),
        cmocka_unit_test(request_without_instance_is_not_remembered),
        cmocka_unit_test(memory_has_a_bound_and_says_when_it_is_reached),
        cmocka_unit_test(written_memory_reads_back_the_same),
        cmocka_unit_test(foreign_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
