#include "fibers.h"

#include "db/sqlite_turn.h"

#include <sys/wait.h>
#include <unistd.h>

#define LONG 30.0

static struct sqlite_turn *turn;

static int turn_new(void **state)
{
    (void)state;
    sqlite_turn_prepare("/a/file");
    sqlite_turn_prepare("/another/file");
    turn = sqlite_turn_find("/a/file");
    return turn == NULL;
}

static void pass_later(void *arg)
{
    (void)arg;
    fiber_sleep(0.01, NEVER);
    sqlite_turn_pass(sqlite_turn_find("/another/file")); /* not the one that is waited for */
    fiber_sleep(0.01, NEVER);
    sqlite_turn_pass(turn);
}

static void wait_for_pass(void *arg)
{
    (void)arg;
    double start = fiber_now();
    assert_true(fiber_spawn(pass_later, NULL));
    assert_true(sqlite_turn_wait(turn, LONG, NEVER));
    double waited = fiber_now() - start;
    assert_true(waited >= 0.02 && waited < LONG);
}

static void waiter_is_woken_when_the_turn_is_passed(void **state)
{
    (void)state;
    in_fiber(wait_for_pass, NULL);
}

static void wait_in_vain(void *arg)
{
    (void)arg;
    sqlite_turn_pass(turn); /* to nobody: nothing stays behind for the next who waits */
    double start = fiber_now();
    assert_true(sqlite_turn_wait(turn, 0.02, NEVER));
    assert_true(fiber_now() - start >= 0.02);
    assert_false(sqlite_turn_wait(turn, LONG, fiber_now() + 0.01));
    assert_true(sqlite_turn_wait(NULL, 0.001, NEVER));
    sqlite_turn_pass(NULL);
}

static void wait_ends_at_its_time_or_at_the_deadline(void **state)
{
    (void)state;
    in_fiber(wait_in_vain, NULL);
}

static void wait_for_child(void *arg)
{
    (void)arg;
    double start = fiber_now();
    assert_true(sqlite_turn_wait(turn, LONG, NEVER));
    assert_true(fiber_now() - start < LONG);
}

static void another_process_passes_the_turn(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 1000; i++) { /* whenever the other begins to wait */
            sqlite_turn_pass(turn);
            usleep(1000);
        }
        _exit(0);
    }
    in_fiber(wait_for_child, NULL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiter_is_woken_when_the_turn_is_passed),
        cmocka_unit_test(wait_ends_at_its_time_or_at_the_deadline),
        cmocka_unit_test(another_process_passes_the_turn),
    };
    return cmocka_run_group_tests_name("sqlite_turn", tests, turn_new, NULL);
}
