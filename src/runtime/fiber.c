/*
 * The loop is a context of its own. A fiber that waits switches to the loop; the loop
 * resumes a fiber from a watcher's callback (its fd or its timer) or from the ready queue,
 * where spawned, yielding and signalled fibers stand. The ready queue is run once before
 * each poll, for as many fibers as stood in it then, so that neither events nor ready fibers
 * can starve the other.
 */
#include "runtime/fiber.h"

#include "runtime/sanitize.h"
#include "runtime/stack.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>
#include <utlist.h>

struct fiber {
    ucontext_t context;
    struct stack *stack;
    void (*fn)(void *arg);
    void *arg;
    void *asan_fake_stack;
    struct fiber *next, *prev; /* in `ready` */
    struct fiber_waiter *waiter;
    double deadline;
    ev_timer timer;
    int events;  /* what the wait ended with; 0: the deadline */
    bool parked; /* something may resume it */
    bool queued; /* stands in `ready` */
    bool finished;
};

/* Stands on the waiting fiber's stack. */
struct fiber_waiter {
    struct fiber_waiter *next, *prev;
    struct fiber *fiber;
    struct fiber_queue *queue; /* NULL once it has been woken */
};

static struct {
    struct ev_loop *loop;
    ev_prepare prepare;
    ev_check check;
    ev_idle idle; /* active while fibers are ready: the poll must not wait */
    ucontext_t context;
    void *asan_fake_stack;
    const void *asan_stack_bottom;
    size_t asan_stack_size;
    struct fiber *current;
    struct fiber *ready;
    size_t ready_length;
    size_t fibers;
    double busy_since;
    void (*observe_lag)(double seconds);
} runtime;

double fiber_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

struct fiber *fiber_self(void)
{
    return runtime.current;
}

struct ev_loop *fiber_loop(void)
{
    return runtime.loop;
}

size_t fiber_count(void)
{
    return runtime.fibers;
}

/* --- switching --- */

static void make_ready(struct fiber *fiber)
{
    fiber->queued = true;
    DL_APPEND(runtime.ready, fiber);
    if (runtime.ready_length++ == 0)
        ev_idle_start(runtime.loop, &runtime.idle);
}

static void fiber_free(struct fiber *fiber)
{
    runtime.fibers--;
    stack_give(fiber->stack);
}

/* From the loop into the fiber, until it waits or ends. */
static void fiber_resume(struct fiber *fiber)
{
    assert(runtime.current == NULL);
    runtime.current = fiber;
    sanitize_start_switch(&runtime.asan_fake_stack, fiber->stack->base, fiber->stack->size);
    swapcontext(&runtime.context, &fiber->context);
    sanitize_finish_switch(runtime.asan_fake_stack, NULL, NULL);
    runtime.current = NULL;
    if (fiber->finished)
        fiber_free(fiber);
}

/* From the running fiber into the loop, until something resumes it. */
static void fiber_park(struct fiber *fiber)
{
    int saved_errno = errno;
    sanitize_start_switch(&fiber->asan_fake_stack, runtime.asan_stack_bottom,
                          runtime.asan_stack_size);
    swapcontext(&fiber->context, &runtime.context);
    sanitize_finish_switch(fiber->asan_fake_stack, NULL, NULL);
    errno = saved_errno;
}

static void fiber_main(unsigned high, unsigned low)
{
    struct fiber *fiber = (struct fiber *)((uintptr_t)high << 32 | (uintptr_t)low);
    sanitize_finish_switch(NULL, &runtime.asan_stack_bottom, &runtime.asan_stack_size);
    fiber->fn(fiber->arg);
    fiber->finished = true;
    sanitize_start_switch(NULL, runtime.asan_stack_bottom, runtime.asan_stack_size);
    setcontext(&runtime.context);
    abort();
}

/* --- spawning --- */

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents);

/* The fiber's own structure takes the top of its stack: it is touched anyway. */
static struct fiber *fiber_on(struct stack *stack)
{
    uintptr_t top = (uintptr_t)(stack->base + stack->size - sizeof(struct fiber));
    struct fiber *fiber = (struct fiber *)(top & ~(uintptr_t)63);
    *fiber = (struct fiber){.stack = stack};
    return fiber;
}

bool fiber_spawn(void (*fn)(void *arg), void *arg)
{
    struct stack *stack = stack_take();
    if (stack == NULL)
        return false;
    struct fiber *fiber = fiber_on(stack);
    fiber->fn = fn;
    fiber->arg = arg;
    ev_init(&fiber->timer, on_timer);
    fiber->timer.data = fiber;

    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = stack->base;
    fiber->context.uc_stack.ss_size = (size_t)((char *)fiber - stack->base);
    uintptr_t address = (uintptr_t)fiber;
    makecontext(&fiber->context, (void (*)(void))fiber_main, 2, (unsigned)(address >> 32),
                (unsigned)address);
    /* AddressSanitizer's swapcontext would forget all it knows of a stack named here. */
    fiber->context.uc_stack.ss_size = 0;
    runtime.fibers++;
    make_ready(fiber);
    return true;
}

/* --- waiting --- */

static void queue_remove(struct fiber_waiter *waiter)
{
    struct fiber_queue *queue = waiter->queue;
    if (waiter->prev != NULL)
        waiter->prev->next = waiter->next;
    else
        queue->first = waiter->next;
    if (waiter->next != NULL)
        waiter->next->prev = waiter->prev;
    else
        queue->last = waiter->prev;
    waiter->queue = NULL;
}

static void queue_append(struct fiber_queue *queue, struct fiber_waiter *waiter)
{
    waiter->queue = queue;
    waiter->prev = queue->last;
    if (queue->last != NULL)
        queue->last->next = waiter;
    else
        queue->first = waiter;
    queue->last = waiter;
}

static void timer_start(struct fiber *fiber)
{
    if (isinf(fiber->deadline))
        return;
    double left = fiber->deadline - fiber_now();
    ev_timer_set(&fiber->timer, left > 0 ? left : 0, 0);
    ev_timer_start(runtime.loop, &fiber->timer);
}

static void leave_queue(struct fiber *fiber)
{
    if (fiber->waiter != NULL && fiber->waiter->queue != NULL)
        queue_remove(fiber->waiter);
}

/* libev counts from the start of the loop's turn, so a timer can be early: then once more. */
static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)loop, (void)revents;
    struct fiber *fiber = timer->data;
    if (fiber_now() < fiber->deadline) {
        timer_start(fiber);
        return;
    }
    leave_queue(fiber);
    fiber->events = 0;
    fiber_resume(fiber);
}

void fiber_interrupt(struct fiber *fiber)
{
    if (!fiber->parked || fiber->queued)
        return;
    leave_queue(fiber);
    ev_timer_stop(runtime.loop, &fiber->timer);
    fiber->events = 0;
    make_ready(fiber);
}

static struct fiber *self_must_wait(void)
{
    assert(runtime.current != NULL && "only a fiber can wait");
    return runtime.current;
}

static int park_until(struct fiber *fiber, double deadline)
{
    fiber->deadline = deadline;
    fiber->events = 0;
    timer_start(fiber);
    fiber->parked = true;
    fiber_park(fiber);
    fiber->parked = false;
    ev_timer_stop(runtime.loop, &fiber->timer);
    return fiber->events;
}

bool fiber_sleep(double seconds, double deadline)
{
    double end = fiber_now() + seconds;
    park_until(self_must_wait(), end < deadline ? end : deadline);
    return end <= deadline;
}

void fiber_yield(void)
{
    struct fiber *fiber = self_must_wait();
    make_ready(fiber);
    fiber_park(fiber);
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
    ev_io_stop(loop, io);
    struct fiber *fiber = io->data;
    fiber->events = revents & (EV_READ | EV_WRITE);
    if (fiber->events == 0) /* libev gave up on the fd: let the caller's system call say why */
        fiber->events = EV_READ | EV_WRITE;
    if (!fiber->queued) /* interrupted in this very turn: it runs soon, and knows the events */
        fiber_resume(fiber);
}

int fiber_wait_fd(int fd, int events, double deadline)
{
    struct fiber_watch watch;
    fiber_watch_init(&watch, fd, events);
    return fiber_watch_wait(&watch, deadline);
}

void fiber_watch_init(struct fiber_watch *watch, int fd, int events)
{
    ev_io_init(&watch->io, on_io, fd, events);
}

int fiber_watch_wait(struct fiber_watch *watch, double deadline)
{
    struct fiber *fiber = self_must_wait();
    watch->io.data = fiber;
    ev_io_start(runtime.loop, &watch->io);
    int events = park_until(fiber, deadline);
    ev_io_stop(runtime.loop, &watch->io);
    return events;
}

/* --- mutexes and conditions --- */

static bool queue_wait(struct fiber_queue *queue, double deadline)
{
    struct fiber *fiber = self_must_wait();
    struct fiber_waiter waiter = {.fiber = fiber};
    queue_append(queue, &waiter);
    fiber->waiter = &waiter;
    bool woken = park_until(fiber, deadline) != 0;
    fiber->waiter = NULL;
    return woken;
}

/* The longest waiting fiber becomes ready; NULL when nobody waits. */
static struct fiber *queue_wake(struct fiber_queue *queue)
{
    struct fiber_waiter *waiter = queue->first;
    if (waiter == NULL)
        return NULL;
    queue_remove(waiter);
    struct fiber *fiber = waiter->fiber;
    ev_timer_stop(runtime.loop, &fiber->timer);
    fiber->events = EV_CUSTOM;
    make_ready(fiber);
    return fiber;
}

bool fiber_mutex_lock(struct fiber_mutex *mutex, double deadline)
{
    struct fiber *fiber = self_must_wait();
    assert(mutex->owner != fiber);
    if (mutex->owner == NULL) {
        mutex->owner = fiber;
        return true;
    }
    return queue_wait(&mutex->waiting, deadline); /* unlock has made us the owner */
}

void fiber_mutex_unlock(struct fiber_mutex *mutex)
{
    assert(mutex->owner == runtime.current);
    mutex->owner = queue_wake(&mutex->waiting);
}

bool fiber_cond_wait(struct fiber_cond *cond, double deadline)
{
    return queue_wait(&cond->waiting, deadline);
}

void fiber_cond_signal(struct fiber_cond *cond)
{
    queue_wake(&cond->waiting);
}

void fiber_cond_broadcast(struct fiber_cond *cond)
{
    while (queue_wake(&cond->waiting) != NULL)
        ;
}

/* --- the loop --- */

static void run_ready(void)
{
    for (size_t left = runtime.ready_length; left > 0; left--) {
        struct fiber *fiber = runtime.ready;
        DL_DELETE(runtime.ready, fiber);
        fiber->queued = false;
        runtime.ready_length--;
        fiber_resume(fiber);
    }
    if (runtime.ready_length == 0)
        ev_idle_stop(runtime.loop, &runtime.idle);
}

static void before_poll(struct ev_loop *loop, ev_prepare *watcher, int revents)
{
    (void)loop, (void)watcher, (void)revents;
    if (runtime.ready_length > 0)
        run_ready();
    if (runtime.observe_lag != NULL && runtime.busy_since > 0)
        runtime.observe_lag(fiber_now() - runtime.busy_since);
}

static void after_poll(struct ev_loop *loop, ev_check *watcher, int revents)
{
    (void)loop, (void)watcher, (void)revents;
    if (runtime.observe_lag != NULL)
        runtime.busy_since = fiber_now();
}

static void on_idle(struct ev_loop *loop, ev_idle *watcher, int revents)
{
    (void)loop, (void)watcher, (void)revents;
}

void fiber_runtime_start(void)
{
    assert(runtime.loop == NULL);
    runtime.loop = ev_loop_new(EVFLAG_AUTO);
    if (runtime.loop == NULL) {
        fputs("cannot make an event loop: libev found no usable backend\n", stderr);
        exit(1);
    }
    ev_prepare_init(&runtime.prepare, before_poll);
    ev_check_init(&runtime.check, after_poll);
    ev_set_priority(&runtime.check, EV_MAXPRI);
    ev_idle_init(&runtime.idle, on_idle);
    ev_prepare_start(runtime.loop, &runtime.prepare);
    ev_check_start(runtime.loop, &runtime.check);
    ev_unref(runtime.loop); /* only fibers and others' watchers keep the loop running */
    ev_unref(runtime.loop);
}

void fiber_runtime_run(void)
{
    ev_run(runtime.loop, 0);
}

void fiber_runtime_stop(void)
{
    ev_break(runtime.loop, EVBREAK_ALL);
}

void fiber_runtime_on_lag(void (*observe)(double seconds))
{
    runtime.observe_lag = observe;
    runtime.busy_since = 0;
}

void fiber_runtime_end(void)
{
    ev_ref(runtime.loop);
    ev_ref(runtime.loop);
    ev_loop_destroy(runtime.loop);
    runtime.loop = NULL;
    runtime.ready = NULL;
    runtime.ready_length = 0;
    stack_pool_free();
}
