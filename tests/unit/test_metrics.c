#include "runtime/metrics.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The master's memory lasts for the whole program: each test has metrics of its own. */

static char *printed;

static const char *print(void)
{
    size_t length;
    free(printed);
    FILE *out = open_memstream(&printed, &length);
    metrics_print(out);
    fclose(out);
    return printed;
}

static int forget(void **state)
{
    (void)state;
    free(printed);
    printed = NULL;
    return 0;
}

/* Runs body in a child that writes the slot, and waits for its end. */
static void in_child(int slot, void (*body)(const metric *m), const metric *m)
{
    pid_t child = fork();
    int status;
    if (child == 0) {
        metrics_slot_use(slot);
        body(m);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void add_three(const metric *m)
{
    metric_add(*m, 3);
}

static void set_seven(const metric *m)
{
    metric_set(*m, 7);
}

static void set_one(const metric *m)
{
    metric_set(*m, 1);
}

static void set_zero(const metric *m)
{
    metric_set(*m, 0);
}

static void nothing_happens_before_create(void **state)
{
    (void)state;
    metric m = {0};
    metric_add(m, 1);
    metric_set(m, 1);
    metric_observe(m, 1);
    assert_int_equal(metric_read(m), 0);
    assert_int_equal(metrics_slot_take(), -1);
    assert_int_equal(metrics_slots(), 0);
    assert_string_equal(print(), "");
}

static void create_once(void **state)
{
    (void)state;
    metrics_create();
    assert_int_equal(metrics_slots(), 1);
}

static void counters_of_all_children_are_summed_and_outlive_them(void **state)
{
    (void)state;
    metric m = metric_register(METRIC_COUNTER, "summed_total", NULL, "Summed.");
    int first = metrics_slot_take(), second = metrics_slot_take();
    assert_true(first > 0 && second > 0 && first != second);
    assert_true(metrics_slots() > second);
    metric_add(m, 1);
    in_child(first, add_three, &m);
    in_child(second, add_three, &m);
    assert_int_equal(metric_read(m), 7);
    metrics_slot_retire(first);
    assert_int_equal(metric_read(m), 7);
    assert_int_equal(metrics_slot_take(), first);
    in_child(first, add_three, &m);
    metrics_slot_retire(first);
    metrics_slot_retire(second);
    assert_int_equal(metric_read(m), 10);
    assert_non_null(strstr(print(), "\nsummed_total 10\n"));
}

static void gauges_go_with_their_child(void **state)
{
    (void)state;
    metric m = metric_register(METRIC_GAUGE, "things", NULL, "Things.");
    int slot = metrics_slot_take();
    metric_set(m, 2);
    in_child(slot, set_seven, &m);
    assert_int_equal(metric_read(m), 9);
    assert_int_equal(metric_read_slot(m, slot), 7);
    metrics_slot_retire(slot);
    assert_int_equal(metric_read(m), 2);
    assert_int_equal(metric_read_slot(m, slot), 0);
    metric_add(m, (uint64_t)-3);
    assert_non_null(strstr(print(), "\nthings -1\n"));
}

static void state_is_up_when_nobody_says_down(void **state)
{
    (void)state;
    metric m = metric_register(METRIC_STATE, "up", NULL, "Up.");
    int first = metrics_slot_take(), second = metrics_slot_take();
    assert_int_equal(metric_read(m), 0);
    in_child(first, set_one, &m);
    assert_int_equal(metric_read(m), 1);
    in_child(second, set_one, &m);
    assert_int_equal(metric_read(m), 1);
    in_child(second, set_zero, &m);
    assert_int_equal(metric_read(m), 0);
    assert_int_equal(metric_read_slot(m, first), 1);
    assert_int_equal(metric_read_slot(m, second), 0);
    metrics_slot_retire(second);
    assert_int_equal(metric_read(m), 1);
    assert_non_null(strstr(print(), "# TYPE up gauge\nup 1\n"));
    metrics_slot_retire(first);
    assert_int_equal(metric_read(m), 0);
}

static void registering_again_returns_the_same(void **state)
{
    (void)state;
    metric a = metric_register(METRIC_COUNTER, "again_total", "x=\"1\"", "Again.");
    metric b = metric_register(METRIC_COUNTER, "again_total", "x=\"2\"", "Again.");
    metric c = metric_register(METRIC_COUNTER, "again_total", "x=\"1\"", "Again.");
    assert_int_equal(a.index, c.index);
    assert_int_not_equal(a.index, b.index);
}

static void print_groups_series_by_name(void **state)
{
    (void)state;
    metric_register(METRIC_COUNTER, "grouped_total", "x=\"1\"", "Grouped.");
    metric_register(METRIC_COUNTER, "between_total", NULL, "Between.");
    metric m = metric_register(METRIC_COUNTER, "grouped_total", "x=\"2\"", "Grouped.");
    metric_add(m, 5);
    assert_non_null(strstr(print(), "# HELP grouped_total Grouped.\n"
                                    "# TYPE grouped_total counter\n"
                                    "grouped_total{x=\"1\"} 0\n"
                                    "grouped_total{x=\"2\"} 5\n"
                                    "# HELP between_total Between.\n"));
}

static void histogram_has_buckets_sum_and_count(void **state)
{
    (void)state;
    metric m = metric_register(METRIC_HISTOGRAM, "wait_seconds", "x=\"1\"", "Wait.");
    metric_register(METRIC_HISTOGRAM, "bare_seconds", NULL, "Bare.");
    metric_observe(m, 0.0001);
    metric_observe(m, 0.0002);
    metric_observe(m, 2);
    metric_observe(m, 31);
    metric_observe(m, -1);
    assert_int_equal(metric_read(m), 5);
    const char *expected[] = {
        "# TYPE wait_seconds histogram\nwait_seconds_bucket{x=\"1\",le=\"0.0001\"} 2\n"
        "wait_seconds_bucket{x=\"1\",le=\"0.00025\"} 3\n",
        "wait_seconds_bucket{x=\"1\",le=\"1\"} 3\nwait_seconds_bucket{x=\"1\",le=\"2.5\"} 4\n",
        "wait_seconds_bucket{x=\"1\",le=\"30\"} 4\nwait_seconds_bucket{x=\"1\",le=\"+Inf\"} 5\n"
        "wait_seconds_sum{x=\"1\"} 33.000300000\nwait_seconds_count{x=\"1\"} 5\n",
        "bare_seconds_bucket{le=\"30\"} 0\nbare_seconds_bucket{le=\"+Inf\"} 0\n"
        "bare_seconds_sum 0.000000000\nbare_seconds_count 0\n",
    };
    print();
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_non_null(strstr(printed, expected[i]));
}

#define GENERATIONS 10000
#define ADDED       3

/* What the writer may have added and has added: the same while it retires a slot. */
static struct limits {
    atomic_uint_fast64_t most, least;
} * limits;

/* The first of the table and the last: a slot is not retired in one moment. */
static metric ends[2];

/* Reads until the counter has all; ends with 1 when it has missed something or has it twice. */
static void read_upwards(void)
{
    uint64_t last[2] = {0};
    for (int i = 0; last[i] < (uint64_t)GENERATIONS * ADDED; i = !i) {
        uint64_t least = atomic_load(&limits->least);
        uint64_t now = metric_read(ends[i]);
        if (now < last[i] || now < least || now > atomic_load(&limits->most))
            _exit(1);
        last[i] = now;
    }
}

static void add_and_retire(void)
{
    int slot = metrics_slot_take();
    metrics_slot_use(slot);
    atomic_fetch_add(&limits->most, ADDED);
    for (int i = 0; i < 2; i++)
        metric_add(ends[i], ADDED);
    atomic_fetch_add(&limits->least, ADDED);
    metrics_slot_retire(slot);
}

/* So many series and slots that neither retiring a slot nor reading a counter is one moment. */
static void register_many(void)
{
    char label[32];
    for (int i = 0; i < 150; i++) {
        snprintf(label, sizeof label, "n=\"%d\"", i);
        metric_register(METRIC_HISTOGRAM, "wide_seconds", label, "Wide.");
    }
    for (int i = 0; i < 100; i++)
        assert_true(metrics_slot_take() > 0);
}

static void reader_never_sees_a_counter_go_back_or_double(void **state)
{
    (void)state;
    ends[0] = metric_register(METRIC_COUNTER, "folded_total", "end=\"first\"", "Folded.");
    register_many();
    ends[1] = metric_register(METRIC_COUNTER, "folded_total", "end=\"last\"", "Folded.");
    limits = mmap(NULL, sizeof *limits, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(limits != MAP_FAILED);
    pid_t reader = fork();
    int status;
    if (reader == 0) {
        read_upwards();
        _exit(0);
    }
    for (int i = 0; i < GENERATIONS; i++)
        add_and_retire();
    metrics_slot_use(0);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
    munmap(limits, sizeof *limits);
}

static void series_beyond_the_table_are_harmless(void **state)
{
    (void)state;
    char label[32];
    metric m = {0};
    for (int i = 0; i < 5000; i++) {
        snprintf(label, sizeof label, "n=\"%d\"", i);
        m = metric_register(METRIC_COUNTER, "many_total", label, "Many.");
    }
    metric h = metric_register(METRIC_HISTOGRAM, "late_seconds", NULL, "Late.");
    metric_add(m, 1);
    metric_set(m, 1);
    metric_observe(h, 1e9);
    assert_int_equal(metric_read(m), 0);
    assert_int_equal(metric_read(h), 0);
    assert_int_equal(metric_read_slot(h, 0), 0);
    assert_null(strstr(print(), "late_seconds"));
    assert_null(strstr(printed, "n=\"4999\""));
}

static void slots_run_out(void **state)
{
    (void)state;
    int slot, taken = 0;
    while ((slot = metrics_slot_take()) >= 0)
        taken++;
    assert_true(taken > 100);
    metrics_slot_retire(3);
    assert_int_equal(metrics_slot_take(), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_happens_before_create, forget),
        cmocka_unit_test_teardown(create_once, forget),
        cmocka_unit_test_teardown(counters_of_all_children_are_summed_and_outlive_them, forget),
        cmocka_unit_test_teardown(gauges_go_with_their_child, forget),
        cmocka_unit_test_teardown(state_is_up_when_nobody_says_down, forget),
        cmocka_unit_test_teardown(registering_again_returns_the_same, forget),
        cmocka_unit_test_teardown(print_groups_series_by_name, forget),
        cmocka_unit_test_teardown(histogram_has_buckets_sum_and_count, forget),
        cmocka_unit_test_teardown(reader_never_sees_a_counter_go_back_or_double, forget),
        cmocka_unit_test_teardown(series_beyond_the_table_are_harmless, forget),
        cmocka_unit_test_teardown(slots_run_out, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
