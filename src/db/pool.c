/*
 * While somebody waits, no connection is idle: one that becomes free or is made goes
 * straight to the longest waiting. The timer is for what nobody asks for (closing idle
 * connections, probing); it does not keep the loop running.
 */
#include "db/pool.h"

#include "db/breaker.h"
#include "runtime/fiber.h"
#include "util/memory.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

const struct pool_times pool_times_default = {.idle = 60, .connect = 5, .probe = 0.5};

/*
 * A first packet that got lost is sent again after 1, 3 and 7 seconds. Short probes notice
 * sooner that the network is back; now and then one has as much time as a slow server needs.
 */
#define PROBE_PATIENCE 2.0
#define PROBES_PATIENT 4

#define CONNECT_TRIES   4
#define RETRY_PAUSE     0.01 /* seconds, doubled each time */
#define INTERRUPT_EVERY 0.05 /* seconds, while attempts are cut short */

/* Stands on the stack of the fiber that waits. */
struct waiter {
    struct waiter *prev, *next;
    bool done;
    struct link *link; /* NULL when done: error says why */
    struct postern_error error;
    struct fiber_cond called;
};

/* To connect, in a fiber of its own. */
struct attempt {
    struct attempt *prev, *next;
    struct pool *pool;
    struct fiber *fiber; /* once it runs */
    double patience;
};

struct pool {
    const struct db_driver *driver;
    const struct database_config *config;
    const struct pool_times *times;
    void (*on_reachable)(void *context, bool reachable);
    void *context;
    struct breaker breaker;

    struct link *shared; /* a shared driver's only one */
    struct link *idle;   /* the last used one last */
    size_t links;        /* alive, idle ones and borrowed ones */
    size_t closing;
    struct attempt *attempts;
    size_t attempting;
    struct waiter *waiters;
    size_t waiting;

    ev_timer timer;
    double timer_at; /* while it is active */
    double probe_at;
    unsigned probes;
    size_t fibers; /* attempts and upkeep */
    bool ending;
    struct fiber_cond fibers_ended;
};

static void pool_serve(struct pool *pool);
static void pool_wake_at(struct pool *pool, double when);

size_t pool_size(const struct pool *pool)
{
    if (pool->driver->shared || pool->config->pool_size < 1)
        return 1;
    return (size_t)pool->config->pool_size;
}

static bool pool_is_full(const struct pool *pool)
{
    return pool->links + pool->closing + pool->attempting >= pool_size(pool);
}

static void tell_reachable(const struct pool *pool, bool reachable)
{
    if (pool->on_reachable != NULL)
        pool->on_reachable(pool->context, reachable);
}

/* --- those who wait --- */

static void waiter_call(struct pool *pool, struct waiter *waiter)
{
    DL_DELETE(pool->waiters, waiter);
    pool->waiting--;
    waiter->done = true;
    fiber_cond_signal(&waiter->called);
}

static struct link *link_borrow(struct link *link)
{
    link->users++;
    link->since = fiber_now();
    return link;
}

static void waiters_fail(struct pool *pool)
{
    while (pool->waiters != NULL) {
        breaker_explain(&pool->breaker, &pool->waiters->error);
        waiter_call(pool, pool->waiters);
    }
}

static void link_offer(struct pool *pool, struct link *link)
{
    bool shared = pool->driver->shared;
    while (pool->waiters != NULL && (shared || link->users == 0)) {
        pool->waiters->link = link_borrow(link);
        waiter_call(pool, pool->waiters);
    }
    if (shared) {
        pool->shared = link;
    } else if (link->users == 0) {
        link->since = fiber_now();
        DL_APPEND(pool->idle, link);
        pool_wake_at(pool, link->since + pool->times->idle);
    }
}

/* --- the end of connections --- */

/* May wait. It counts until it is closed: the server has it till then. */
static void link_close(struct pool *pool, struct link *link)
{
    pool->closing++;
    pool->driver->close(link->connection);
    pool->closing--;
    free(link);
    pool_serve(pool);
}

static void idle_close(struct pool *pool, double unused_since)
{
    while (pool->idle != NULL && pool->idle->since <= unused_since) {
        struct link *link = pool->idle;
        DL_DELETE(pool->idle, link);
        pool->links--;
        link_close(pool, link);
    }
}

/* Asked when what is known of the server has changed, or may have grown too old. */
static bool pool_fails(struct pool *pool)
{
    if (!breaker_fails(&pool->breaker, pool->links))
        return false;
    tell_reachable(pool, false);
    waiters_fail(pool);
    return true;
}

/* --- attempts --- */

static void fiber_left(struct pool *pool)
{
    pool->fibers--;
    fiber_cond_signal(&pool->fibers_ended);
}

static void attempt_failed(struct pool *pool, const struct postern_error *error)
{
    breaker_open(&pool->breaker, error);
    pool->probe_at = fiber_now() + breaker_probe_pause(&pool->breaker, pool->times->probe);
    pool_wake_at(pool, pool->probe_at);
    bool fails = pool_fails(pool);
    if (pool->probes > 0)
        breaker_announce(&pool->breaker, fails ? 0 : pool->links);
}

static void attempt_succeeded(struct pool *pool, struct db_connection *connection)
{
    breaker_close(&pool->breaker);
    pool->probes = 0;
    tell_reachable(pool, true);
    struct link *link = memory_new(sizeof *link);
    link->connection = connection;
    pool->links++;
    link_offer(pool, link);
    pool_serve(pool);
}

/*
 * Who ends all sessions (a KILL, a failover, a pooler's restart) ends those that are just being
 * made as well. So the failure of a server that answered a moment ago is tried again before
 * the breaker hears of it.
 */
static struct db_connection *connect_patiently(struct pool *pool, double patience,
                                               struct postern_error *error)
{
    double deadline = fiber_now() + patience, pause = RETRY_PAUSE;
    for (int tries = 1;; tries++) {
        struct db_connection *connection = pool->driver->connect(pool->config, deadline, error);
        bool again = tries < CONNECT_TRIES && breaker_is_proven(&pool->breaker) && !pool->ending;
        if (connection != NULL || !again || !fiber_sleep(pause, deadline))
            return connection;
        pause *= 2;
    }
}

static void attempt_run(void *arg)
{
    struct attempt *attempt = arg;
    struct pool *pool = attempt->pool;
    struct db_connection *connection = NULL;
    struct postern_error error = {.text = "cancelled"};
    attempt->fiber = fiber_self();
    if (!pool->ending)
        connection = connect_patiently(pool, attempt->patience, &error);
    DL_DELETE(pool->attempts, attempt);
    free(attempt);
    pool->attempting--;
    if (pool->ending && connection != NULL)
        pool->driver->close(connection);
    else if (connection != NULL)
        attempt_succeeded(pool, connection);
    else if (!pool->ending)
        attempt_failed(pool, &error);
    fiber_left(pool);
}

static void attempt_start(struct pool *pool, double patience)
{
    struct attempt *attempt = memory_new(sizeof *attempt);
    *attempt = (struct attempt){.pool = pool, .patience = patience};
    if (!fiber_spawn(attempt_run, attempt)) {
        struct postern_error error;
        postern_error_set(&error, "no memory for a fiber to connect in: %s", strerror(errno));
        free(attempt);
        attempt_failed(pool, &error);
        return;
    }
    DL_APPEND(pool->attempts, attempt);
    pool->attempting++;
    pool->fibers++;
}

/* As many attempts as there are fibers waiting and room. */
static void pool_serve(struct pool *pool)
{
    while (!pool->breaker.open && pool->attempting < pool->waiting && !pool_is_full(pool))
        attempt_start(pool, pool->times->connect);
}

/* --- what nobody asks for --- */

static void probe(struct pool *pool)
{
    bool patient = ++pool->probes % PROBES_PATIENT == 0 || pool->times->connect < PROBE_PATIENCE;
    attempt_start(pool, patient ? pool->times->connect : PROBE_PATIENCE);
}

static void upkeep(void *arg)
{
    struct pool *pool = arg;
    double now = fiber_now();
    if (!pool->ending)
        idle_close(pool, now - pool->times->idle);
    if (!pool->ending && pool->breaker.open && now >= pool->probe_at) {
        pool->probe_at = now + pool->times->probe;
        if (pool->attempting == 0 && !pool_is_full(pool))
            probe(pool);
        pool_fails(pool);
    }
    if (!pool->ending && pool->breaker.open)
        pool_wake_at(pool, pool->probe_at);
    if (!pool->ending && pool->idle != NULL)
        pool_wake_at(pool, pool->idle->since + pool->times->idle);
    fiber_left(pool);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void)revents;
    struct pool *pool = timer->data;
    ev_ref(loop);
    if (fiber_spawn(upkeep, pool))
        pool->fibers++;
    else
        pool_wake_at(pool, fiber_now() + pool->times->probe);
}

static void timer_stop(struct pool *pool)
{
    if (!ev_is_active(&pool->timer))
        return;
    ev_ref(fiber_loop());
    ev_timer_stop(fiber_loop(), &pool->timer);
}

/* Then, or sooner if something else is due. */
static void pool_wake_at(struct pool *pool, double when)
{
    if (ev_is_active(&pool->timer) && pool->timer_at <= when)
        return;
    timer_stop(pool);
    double left = when - fiber_now();
    pool->timer_at = when;
    ev_timer_set(&pool->timer, left > 0 ? left : 0, 0);
    ev_timer_start(fiber_loop(), &pool->timer);
    ev_unref(fiber_loop());
}

/* --- borrowing --- */

static struct link *link_free_now(struct pool *pool)
{
    if (pool->shared != NULL)
        return link_borrow(pool->shared);
    if (pool->idle == NULL)
        return NULL;
    struct link *link = pool->idle->prev; /* of the first: the last */
    DL_DELETE(pool->idle, link);
    return link_borrow(link);
}

static void explain_late(const struct pool *pool, struct postern_error *error)
{
    if (pool->links > 0)
        postern_error_set(error,
                          "no connection was free before the deadline: the %zu of pool_size are "
                          "in use",
                          pool_size(pool));
    else
        postern_error_set(error, "no connection was made before the deadline");
}

static struct link *link_wait(struct pool *pool, bool again, double deadline,
                              struct postern_error *error)
{
    struct waiter waiter = {0};
    if (again)
        DL_PREPEND(pool->waiters, &waiter);
    else
        DL_APPEND(pool->waiters, &waiter);
    pool->waiting++;
    pool_serve(pool);
    while (!waiter.done && fiber_cond_wait(&waiter.called, deadline))
        ;
    if (!waiter.done) {
        DL_DELETE(pool->waiters, &waiter);
        pool->waiting--;
        explain_late(pool, error);
    } else if (waiter.link == NULL) {
        *error = waiter.error;
    }
    return waiter.link;
}

struct link *pool_take(struct pool *pool, bool again, double deadline, struct postern_error *error)
{
    struct link *link = link_free_now(pool);
    if (link != NULL)
        return link;
    if (!pool_fails(pool))
        return link_wait(pool, again, deadline, error);
    breaker_explain(&pool->breaker, error);
    return NULL;
}

/* --- giving back --- */

static void link_lost(struct pool *pool, struct link *link, enum db_result result)
{
    if (!link->lost)
        pool->links--;
    link->lost = true;
    if (pool->shared == link)
        pool->shared = NULL;
    if (result == DB_TIMEOUT && breaker_timed_out(&pool->breaker, fiber_now() - link->since)) {
        pool->probe_at = fiber_now();
        pool_wake_at(pool, pool->probe_at);
    }
}

void pool_give(struct pool *pool, struct link *link, enum db_result result)
{
    bool lost = db_result_is_lost(result);
    link->users--;
    if (lost)
        link_lost(pool, link, result);
    else
        breaker_answered(&pool->breaker);
    if (link->lost && link->users == 0)
        link_close(pool, link);
    else if (!link->lost && !pool->driver->shared)
        link_offer(pool, link);
    if (!lost)
        return;
    idle_close(pool, fiber_now());
    pool_fails(pool);
    pool_serve(pool);
}

/* --- making and ending --- */

struct pool *pool_new(const struct db_driver *driver, const struct database_config *config,
                      const struct pool_times *times,
                      void (*on_reachable)(void *context, bool reachable), void *context)
{
    struct pool *pool = memory_new(sizeof *pool);
    pool->driver = driver;
    pool->config = config;
    pool->times = times;
    pool->on_reachable = on_reachable;
    pool->context = context;
    pool->breaker.database = config->name;
    ev_init(&pool->timer, on_timer);
    pool->timer.data = pool;
    return pool;
}

/* A driver may wait once more after an interruption, hence again and again. */
static void fibers_end(struct pool *pool)
{
    while (pool->fibers > 0) {
        struct attempt *attempt;
        DL_FOREACH(pool->attempts, attempt)
        {
            if (attempt->fiber != NULL)
                fiber_interrupt(attempt->fiber);
        }
        fiber_cond_wait(&pool->fibers_ended, fiber_now() + INTERRUPT_EVERY);
    }
}

static void attempts_forget(struct pool *pool)
{
    struct attempt *attempt, *next;
    DL_FOREACH_SAFE(pool->attempts, attempt, next)
    {
        free(attempt);
    }
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    assert(pool->waiting == 0);
    pool->ending = true;
    timer_stop(pool);
    if (fiber_self() != NULL)
        fibers_end(pool);
    else
        attempts_forget(pool);
    if (pool->shared != NULL)
        link_close(pool, pool->shared);
    idle_close(pool, NEVER);
    free(pool);
}
