/*
 * bench-fiber: what a fiber costs. Prints nanoseconds for starting and finishing one, and for
 * one switch between two of them, the best of several rounds each, as JSON.
 */
#include "runtime/fiber.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS   7
#define SPAWNS   200000
#define AT_ONCE  32 /* fibers alive at once while they are started */
#define SWITCHES 500000

/* Two fibers that take turns; the measuring one returns only when the other has ended. */
struct pair {
    struct fiber_cond turns[2];
    int turn;
    long left;
    bool ended;
};

static double spawn_ns, yield_ns, cond_ns;

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double better(double best, double cost)
{
    return best == 0 || cost < best ? cost : best;
}

static void finish(void *arg)
{
    long *finished = arg;
    (*finished)++;
}

static void measure_spawn(void)
{
    long finished = 0;
    double start = now_ns();
    for (long started = 0; started < SPAWNS;) {
        for (int i = 0; i < AT_ONCE; i++)
            started += fiber_spawn(finish, &finished);
        while (finished < started)
            fiber_yield();
    }
    spawn_ns = better(spawn_ns, (now_ns() - start) / SPAWNS);
}

static void yield_in_turn(struct pair *pair)
{
    while (pair->left > 0) {
        pair->left--;
        fiber_yield();
    }
}

static void signal_in_turn(struct pair *pair, int self)
{
    while (pair->left > 0) {
        while (pair->turn != self)
            fiber_cond_wait(&pair->turns[self], NEVER);
        pair->left--;
        pair->turn = !self;
        fiber_cond_signal(&pair->turns[!self]);
    }
}

static void yielding_partner(void *arg)
{
    struct pair *pair = arg;
    yield_in_turn(pair);
    pair->ended = true;
}

static void signalling_partner(void *arg)
{
    struct pair *pair = arg;
    signal_in_turn(pair, 1);
    pair->ended = true;
}

static void wait_ended(const struct pair *pair)
{
    while (!pair->ended)
        fiber_yield();
}

static void measure_yield(void)
{
    struct pair pair = {.left = SWITCHES};
    double start = now_ns();
    fiber_spawn(yielding_partner, &pair);
    yield_in_turn(&pair);
    yield_ns = better(yield_ns, (now_ns() - start) / SWITCHES);
    wait_ended(&pair);
}

static void measure_cond(void)
{
    struct pair pair = {.left = SWITCHES};
    double start = now_ns();
    fiber_spawn(signalling_partner, &pair);
    signal_in_turn(&pair, 0);
    cond_ns = better(cond_ns, (now_ns() - start) / SWITCHES);
    wait_ended(&pair);
}

static void measure(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        measure_spawn();
        measure_yield();
        measure_cond();
    }
}

int main(void)
{
    fiber_runtime_start();
    if (!fiber_spawn(measure, NULL))
        return 1;
    fiber_runtime_run();
    fiber_runtime_end();
    printf("{\"spawn_ns\": %.1f, \"yield_ns\": %.1f, \"cond_ns\": %.1f}\n", spawn_ns, yield_ns,
           cond_ns);
    return 0;
}
