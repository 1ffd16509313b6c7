#include "fibers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char trace[64];

static void note(const char *word)
{
    strncat(trace, word, sizeof trace - strlen(trace) - 1);
}

static void noting_twice(void *word)
{
    note(word);
    fiber_yield();
    note(word);
}

static void spawn_two(void *arg)
{
    (void)arg;
    trace[0] = '\0';
    assert_true(fiber_spawn(noting_twice, "a"));
    assert_true(fiber_spawn(noting_twice, "b"));
}

static void fibers_take_turns(void **state)
{
    (void)state;
    in_fiber(spawn_two, NULL);
    assert_string_equal(trace, "abab");
}

static void sleep_past_deadline(void *arg)
{
    (void)arg;
    double start = fiber_now();
    assert_true(fiber_sleep(0.02, NEVER));
    assert_true(fiber_now() - start >= 0.02);
    assert_false(fiber_sleep(60, fiber_now() + 0.01));
    assert_true(fiber_now() - start < 30);
}

static void sleep_ends_at_its_time_or_at_the_deadline(void **state)
{
    (void)state;
    in_fiber(sleep_past_deadline, NULL);
}

static void write_later(void *fd)
{
    assert_true(fiber_sleep(0.01, NEVER));
    assert_int_equal(write(*(int *)fd, "x", 1), 1);
}

static void wait_for_pipe(void *arg)
{
    (void)arg;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fiber_wait_fd(ends[0], EV_READ, fiber_now() + 0.01), 0);
    assert_int_equal(fiber_wait_fd(ends[1], EV_WRITE, NEVER), EV_WRITE);
    assert_true(fiber_spawn(write_later, &ends[1]));
    assert_int_equal(fiber_wait_fd(ends[0], EV_READ, fiber_now() + 30), EV_READ);
    close(ends[0]);
    close(ends[1]);
}

static void fd_wait_returns_readiness_or_nothing_at_the_deadline(void **state)
{
    (void)state;
    in_fiber(wait_for_pipe, NULL);
}

static void watch_many_times(void *arg)
{
    (void)arg;
    for (int round = 0; round < 3; round++) { /* the same fd numbers again: nothing stale is left */
        int ends[2];
        char byte;
        assert_int_equal(pipe(ends), 0);
        struct fiber_watch watch;
        fiber_watch_init(&watch, ends[0], EV_READ);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(fiber_watch_wait(&watch, fiber_now() + 0.005), 0);
            assert_int_equal(write(ends[1], "x", 1), 1);
            assert_int_equal(fiber_watch_wait(&watch, fiber_now() + 30), EV_READ);
            assert_int_equal(read(ends[0], &byte, 1), 1);
        }
        close(ends[0]);
        close(ends[1]);
    }
}

static void watch_serves_one_fd_again_and_again(void **state)
{
    (void)state;
    in_fiber(watch_many_times, NULL);
}

static struct fiber_mutex mutex;
static int inside, passed;

static void enter(void *arg)
{
    (void)arg;
    assert_true(fiber_mutex_lock(&mutex, NEVER));
    assert_int_equal(inside++, 0);
    fiber_yield();
    inside--;
    passed++;
    fiber_mutex_unlock(&mutex);
}

static void give_up(void *arg)
{
    (void)arg;
    assert_false(fiber_mutex_lock(&mutex, fiber_now() + 0.01));
    note("late");
}

static void hold_and_release(void *arg)
{
    (void)arg;
    trace[0] = '\0';
    assert_true(fiber_mutex_lock(&mutex, NEVER));
    assert_true(fiber_spawn(give_up, NULL));
    for (int i = 0; i < 10; i++)
        assert_true(fiber_spawn(enter, NULL));
    assert_true(fiber_sleep(0.03, NEVER));
    assert_int_equal(passed, 0);
    fiber_mutex_unlock(&mutex);
}

static void mutex_lets_one_in_and_waits_no_longer_than_the_deadline(void **state)
{
    (void)state;
    in_fiber(hold_and_release, NULL);
    assert_int_equal(passed, 10);
    assert_string_equal(trace, "late");
}

static struct fiber_cond cond;
static int woken;

static void wait_for_cond(void *arg)
{
    double deadline = arg != NULL ? fiber_now() + 0.005 : NEVER;
    if (fiber_cond_wait(&cond, deadline))
        woken++;
}

static void signal_all(void *arg)
{
    (void)arg;
    assert_true(fiber_spawn(wait_for_cond, "with a deadline"));
    for (int i = 0; i < 3; i++)
        assert_true(fiber_spawn(wait_for_cond, NULL));
    assert_true(fiber_sleep(0.02, NEVER));
    assert_int_equal(woken, 0);
    fiber_cond_signal(&cond);
    fiber_yield();
    assert_int_equal(woken, 1);
    fiber_cond_broadcast(&cond);
    fiber_cond_broadcast(&cond); /* nobody is left to wake: nothing happens */
}

static void condition_wakes_one_or_all_and_none_twice(void **state)
{
    (void)state;
    in_fiber(signal_all, NULL);
    assert_int_equal(woken, 3);
}

static void other_errno(void *arg)
{
    (void)arg;
    errno = ENOENT;
}

static void keep_errno(void *arg)
{
    (void)arg;
    assert_true(fiber_spawn(other_errno, NULL));
    errno = EINTR;
    fiber_yield();
    assert_int_equal(errno, EINTR);
}

static void errno_survives_a_switch(void **state)
{
    (void)state;
    in_fiber(keep_errno, NULL);
}

#define MANY 2000
static int alive, most;

static void live_a_while(void *arg)
{
    (void)arg;
    if (++alive > most)
        most = alive;
    assert_true(fiber_sleep(0.01, NEVER));
    alive--;
}

static void spawn_many(void *arg)
{
    (void)arg;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++)
            assert_true(fiber_spawn(live_a_while, NULL));
        assert_true(fiber_sleep(0.05, NEVER));
        while (alive > 0)
            assert_true(fiber_sleep(0.01, NEVER));
    }
}

static void thousands_live_at_once_and_stacks_are_used_again(void **state)
{
    (void)state;
    in_fiber(spawn_many, NULL);
    assert_int_equal(most, MANY);
}

static struct fiber *sleeper;
static int interrupted;

static void wait_long(void *fd)
{
    sleeper = fiber_self();
    assert_int_equal(fiber_wait_fd(*(int *)fd, EV_READ, NEVER), 0);
    interrupted++;
    assert_false(fiber_cond_wait(&cond, NEVER));
    interrupted++;
    assert_true(fiber_sleep(0, NEVER)); /* the interrupt of one wait does not reach the next */
}

static void interrupt_waits(void *arg)
{
    (void)arg;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_true(fiber_spawn(wait_long, &ends[0]));
    fiber_yield();
    for (int round = 1; round <= 2; round++) {
        fiber_interrupt(sleeper);
        fiber_interrupt(sleeper);
        fiber_yield();
        assert_int_equal(interrupted, round);
    }
    fiber_cond_signal(&cond); /* the interrupted one is not in the queue any more */
    fiber_sleep(0.01, NEVER);
    close(ends[0]);
    close(ends[1]);
}

static void interrupt_ends_a_wait_like_its_deadline(void **state)
{
    (void)state;
    in_fiber(interrupt_waits, NULL);
}

static int laps;
static void observe(double seconds)
{
    assert_true(seconds >= 0);
    laps++;
}

static void busy(void *arg)
{
    (void)arg;
    fiber_runtime_on_lag(observe);
    for (int i = 0; i < 3; i++)
        assert_true(fiber_sleep(0.001, NEVER));
    fiber_runtime_on_lag(NULL);
}

static void loop_reports_each_turn(void **state)
{
    (void)state;
    in_fiber(busy, NULL);
    assert_true(laps >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fibers_take_turns),
        cmocka_unit_test(sleep_ends_at_its_time_or_at_the_deadline),
        cmocka_unit_test(fd_wait_returns_readiness_or_nothing_at_the_deadline),
        cmocka_unit_test(watch_serves_one_fd_again_and_again),
        cmocka_unit_test(mutex_lets_one_in_and_waits_no_longer_than_the_deadline),
        cmocka_unit_test(condition_wakes_one_or_all_and_none_twice),
        cmocka_unit_test(errno_survives_a_switch),
        cmocka_unit_test(thousands_live_at_once_and_stacks_are_used_again),
        cmocka_unit_test(interrupt_ends_a_wait_like_its_deadline),
        cmocka_unit_test(loop_reports_each_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
