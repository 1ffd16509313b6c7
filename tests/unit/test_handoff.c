#include "daemon/handoff.h"
#include "runtime/fiber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int ends[2];

static int create(void **state)
{
    (void)state;
    struct postern_error error;
    fiber_runtime_start();
    return !handoff_create(ends, &error);
}

static int destroy(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    fiber_runtime_end();
    return 0;
}

static void run_fiber(void (*fn)(void *))
{
    assert_true(fiber_spawn(fn, NULL));
    fiber_runtime_run();
}

/* A connection to send; its other end goes to *peer. */
static int connection(int *peer)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    *peer = pair[1];
    return pair[0];
}

static struct handoff *receive(void)
{
    struct handoff *handoff = malloc(sizeof *handoff);
    assert_non_null(handoff);
    if (handoff_receive(ends[1], handoff))
        return handoff;
    free(handoff);
    return NULL;
}

static void send_with_session(void *arg)
{
    (void)arg;
    int peer;
    char byte = 0;
    int fd = connection(&peer);
    assert_true(handoff_send(ends[0], LISTENER_POLICY, fd, "remembered", 10, fiber_now() + 5));
    struct handoff *handoff = receive();
    assert_non_null(handoff);
    assert_int_equal(handoff->kind, LISTENER_POLICY);
    assert_int_equal(handoff->length, 10);
    assert_memory_equal(handoff->session, "remembered", 10);
    assert_int_equal(write(handoff->fd, "x", 1), 1);
    assert_int_equal(read(peer, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(handoff->fd);
    assert_int_equal(read(peer, &byte, 1), 0); /* the sender has kept nothing open */
    close(peer);
    free(handoff);
}

static void connection_arrives_with_its_session(void **state)
{
    (void)state;
    run_fiber(send_with_session);
}

static void send_largest(void *arg)
{
    (void)arg;
    int peer;
    int fd = connection(&peer);
    char *session = calloc(1, HANDOFF_SESSION_MAX + 1);
    assert_non_null(session);
    assert_false(handoff_send(ends[0], LISTENER_POLICY, fd, session, HANDOFF_SESSION_MAX + 1,
                              fiber_now() + 5));
    assert_true(
        handoff_send(ends[0], LISTENER_POLICY, fd, session, HANDOFF_SESSION_MAX, fiber_now() + 5));
    struct handoff *handoff = receive();
    assert_non_null(handoff);
    assert_int_equal(handoff->length, HANDOFF_SESSION_MAX);
    close(handoff->fd);
    close(peer);
    free(handoff);
    free(session);
}

static void session_of_64_kb_passes_and_a_larger_one_is_refused(void **state)
{
    (void)state;
    run_fiber(send_largest);
}

static int receive_all(void)
{
    int received = 0;
    for (struct handoff *handoff; (handoff = receive()) != NULL; received++) {
        close(handoff->fd);
        free(handoff);
    }
    return received;
}

static void send_until_full(void *arg)
{
    (void)arg;
    int peer, sent = 0;
    static char session[32 * 1024];
    for (;;) {
        int fd = connection(&peer);
        close(peer);
        bool fits =
            handoff_send(ends[0], LISTENER_POLICY, fd, session, sizeof session, fiber_now() + 0.05);
        if (!fits) {
            close(fd);
            break;
        }
        assert_true(++sent < 10000);
    }
    assert_true(sent > 0);
    assert_int_equal(receive_all(), sent);
}

static void full_queue_ends_the_wait_at_the_deadline_and_loses_nothing(void **state)
{
    (void)state;
    run_fiber(send_until_full);
}

static void receive_later(void *arg)
{
    fiber_yield();
    *(int *)arg += receive_all();
}

static void send_when_full(void *arg)
{
    (void)arg;
    static char session[32 * 1024];
    int peer, sent = 0, received = 0;
    int fd = connection(&peer), copy = dup(fd);
    for (; handoff_send(ends[0], LISTENER_POLICY, copy, session, sizeof session, 0); sent++)
        copy = dup(fd);
    close(copy);
    assert_true(fiber_spawn(receive_later, &received));
    assert_true(
        handoff_send(ends[0], LISTENER_POLICY, fd, session, sizeof session, fiber_now() + 5));
    assert_int_equal(received + receive_all(), sent + 1);
    close(peer);
}

static void sender_waits_for_room(void **state)
{
    (void)state;
    run_fiber(send_when_full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connection_arrives_with_its_session, create, destroy),
        cmocka_unit_test_setup_teardown(session_of_64_kb_passes_and_a_larger_one_is_refused, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(full_queue_ends_the_wait_at_the_deadline_and_loses_nothing,
                                        create, destroy),
        cmocka_unit_test_setup_teardown(sender_waits_for_room, create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
