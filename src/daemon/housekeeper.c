#include "daemon/housekeeper.h"

#include "build_config.h"
#include "daemon/domain_refresh.h"
#include "daemon/metrics_http.h"
#include "daemon/notify.h"
#include "db/db.h"
#include "db/lease.h"
#include "db/schema.h"
#include "db/sqlite_checkpoint.h"
#include "dns/dns.h"
#include "runtime/clock.h"
#include "runtime/option.h"
#include "util/arena.h"

#include <string.h>
#include <unistd.h>

/* Seconds after the start: reloads must not put it off for ever, and tests would wait for it. */
#define FIRST_RUN     (POSTERN_TEST_HOOKS ? 1.0 : 10.0)
#define HOUR          3600.0
#define BATCH_TIMEOUT 30.0
#define BATCH_PAUSE   0.1 /* lets the requests of the workers go first */

#define TURN       300  /* seconds, of which each step takes less */
#define TURN_PAUSE 60.0 /* while another host has its turn */

#define PATIENCE 5.0 /* seconds that a mail under way has when this process is to leave */

#define DATABASES 3 /* as many as struct databases holds */

struct housekeeper {
    struct child child;
    struct databases databases;
    struct metrics_http *endpoint;
    struct sqlite_checkpoint *checkpoints[DATABASES];
    struct lease turn;
    bool has_turn;
    struct notify notify;
    ev_timer patience;
    bool leaving;
};

/* Rows of the iredapd database that are of no use once a time has passed. */
struct cleanup {
    const char *what;
    struct postern_statement statement; /* values: now, how many */
    const char *plugin, *option;        /* if set: now less that option, while the plugin is used */
};

/* A notification that could not be sent yet has another day. */
#define OVER_AND_TOLD                                                                              \
    "init_time + period < ?1"                                                                      \
    " AND (last_notify_time >= 0 OR init_time + period < ?1 - 86400)"

/* PostgreSQL would also delete a row that has been written anew since it was chosen: it locks. */
static const struct cleanup cleanups[] = {
    {"expired greylisting_tracking",
     {.sqlite = "DELETE FROM greylisting_tracking WHERE id IN"
                " (SELECT id FROM greylisting_tracking WHERE record_expired < ? LIMIT ?)",
      .pgsql = "DELETE FROM greylisting_tracking WHERE id = ANY (ARRAY"
               " (SELECT id FROM greylisting_tracking WHERE record_expired < ? LIMIT ?"
               "  FOR UPDATE SKIP LOCKED))",
      .mysql = "DELETE FROM greylisting_tracking WHERE record_expired < ? LIMIT ?",
      .repeatable = true}},
    {"expired senderscore_cache",
     {.sqlite = "DELETE FROM senderscore_cache WHERE client_address IN"
                " (SELECT client_address FROM senderscore_cache WHERE time < ?"
                "  AND time <> 2147483647 LIMIT ?)",
      .pgsql = "DELETE FROM senderscore_cache WHERE client_address = ANY (ARRAY"
               " (SELECT client_address FROM senderscore_cache WHERE time < ?"
               "  AND time <> 2147483647 LIMIT ? FOR UPDATE SKIP LOCKED))",
      .mysql = "DELETE FROM senderscore_cache WHERE time < ? AND time <> 2147483647 LIMIT ?",
      .repeatable = true},
     "senderscore",
     "cache"},
    {"expired throttle_tracking",
     {.sqlite = "DELETE FROM throttle_tracking WHERE id IN"
                " (SELECT id FROM throttle_tracking WHERE " OVER_AND_TOLD " LIMIT ?2)",
      .pgsql = "DELETE FROM throttle_tracking WHERE id = ANY (ARRAY"
               " (SELECT id FROM throttle_tracking WHERE " OVER_AND_TOLD " LIMIT ?2"
               "  FOR UPDATE SKIP LOCKED))",
      .mysql = "DELETE FROM throttle_tracking WHERE " OVER_AND_TOLD " LIMIT ?2",
      .numbered = true,
      .repeatable = true}},
};

/* A plugin's duration; -1 when the plugin is not used. */
static int64_t plugin_duration(const struct config *config, const char *plugin, const char *option)
{
    for (size_t i = 0; i < config->plugins_length; i++) {
        const struct plugin_config *used = &config->plugins[i];
        if (strcmp(used->plugin->name, plugin) != 0)
            continue;
        const struct postern_option *found = option_find(used->plugin->options, option);
        if (found != NULL && found->type == POSTERN_OPTION_DURATION)
            return *(const int64_t *)((const char *)used->options + found->offset);
    }
    return -1;
}

/* Rows deleted by one batch, -1 when it failed. */
static int64_t delete_batch(struct db *db, const struct cleanup *cleanup, int64_t age,
                            int64_t batch, struct postern_error *error)
{
    struct postern_value values[] = {postern_integer(clock_wall() - age), postern_integer(batch)};
    struct postern_arena *arena = arena_new();
    struct postern_rows rows = {0};
    struct db_query query = {.statement = &cleanup->statement,
                             .values = values,
                             .count = 2,
                             .arena = arena,
                             .deadline = fiber_now() + BATCH_TIMEOUT};
    enum postern_lookup lookup = db_query(db, &query, &rows, error);
    arena_free(arena);
    if (lookup == POSTERN_FAILED)
        return -1;
    return lookup == POSTERN_FOUND ? rows.changed : 0;
}

/* --- the hourly work, which one host does at a time --- */

/* iRedAPD's own tables have no leases, and hosts that clean them up at once only hold each other
 * up. */
static bool has_leases(struct housekeeper *keeper)
{
    struct schema_status schema =
        schema_check(keeper->turn.db, config_database(keeper->child.setup->config, "iredapd"),
                     fiber_now() + BATCH_TIMEOUT);
    return schema.version >= LEASE_SCHEMA;
}

/* Until the turn is ours; false, having said so, when that can't be told. */
static bool take_turn(struct housekeeper *keeper)
{
    struct postern_error error;
    enum postern_lookup turn;
    while ((turn = lease_take(&keeper->turn, fiber_now() + BATCH_TIMEOUT, &error)) ==
           POSTERN_NOT_FOUND) {
        log_debug("the hourly housekeeping waits for the turn of another host");
        fiber_sleep(TURN_PAUSE, NEVER);
    }
    if (turn == POSTERN_FAILED)
        log_warning("the hourly housekeeping is left out this time: %s", error.text);
    return turn == POSTERN_FOUND;
}

/* After each step. */
static bool keep_turn(void *context)
{
    struct housekeeper *keeper = context;
    struct postern_error error;
    return !keeper->has_turn ||
           lease_take(&keeper->turn, fiber_now() + BATCH_TIMEOUT, &error) == POSTERN_FOUND;
}

static void clean_up(struct housekeeper *keeper, const struct cleanup *cleanup)
{
    struct postern_error error;
    struct db *db = databases_find(&keeper->databases, "iredapd");
    const struct config *config = keeper->child.setup->config;
    int64_t batch = config->cleanup_batch;
    int64_t age =
        cleanup->plugin != NULL ? plugin_duration(config, cleanup->plugin, cleanup->option) : 0;
    int64_t total = 0, deleted;
    if (age < 0)
        return;
    while ((deleted = delete_batch(db, cleanup, age, batch, &error)) > 0) {
        total += deleted;
        if (deleted < batch || !keep_turn(keeper))
            break;
        fiber_sleep(BATCH_PAUSE, NEVER);
    }
    if (deleted < 0)
        log_warning("cleanup of %s rows failed: %s", cleanup->what, error.text);
    if (total > 0)
        log_info("cleanup deleted %lld %s rows", (long long)total, cleanup->what);
}

static void clean_up_all(struct housekeeper *keeper)
{
    for (size_t i = 0; i < sizeof cleanups / sizeof cleanups[0]; i++)
        clean_up(keeper, &cleanups[i]);
}

static void keep_house(struct housekeeper *keeper)
{
    if (!has_leases(keeper)) {
        clean_up_all(keeper);
        return;
    }
    keeper->has_turn = take_turn(keeper);
    if (!keeper->has_turn)
        return;
    clean_up_all(keeper);
    domain_refresh_all(keeper->turn.db, keep_turn, keeper);
    lease_give(&keeper->turn, fiber_now() + BATCH_TIMEOUT);
    keeper->has_turn = false;
}

/* --- jobs --- */

/* A fiber per job; each waits for its own next time. */
struct job {
    struct housekeeper *keeper;
    void (*run)(struct housekeeper *keeper);
    double first, every;
};

static void job_main(void *arg)
{
    struct job *job = arg;
    fiber_sleep(job->first, NEVER);
    for (;;) {
        job->run(job->keeper);
        fiber_sleep(job->every, NEVER);
    }
}

static void send_notifications(struct housekeeper *keeper)
{
    if (keeper->notify.config->notify.recipients.count > 0)
        notify_round(&keeper->notify);
    if (keeper->leaving)
        fiber_runtime_stop();
}

static void start_endpoint(struct housekeeper *keeper)
{
    const struct listener_set *listeners = keeper->child.setup->listeners;
    struct postern_error error;
    for (size_t i = 0; i < listeners->count; i++) {
        const struct listener *listener = &listeners->list[i];
        if (listener->kind != LISTENER_METRICS)
            continue;
        keeper->endpoint = metrics_http_start(listener->fd, &error);
        if (keeper->endpoint == NULL)
            log_warning("no metrics on %s: %s", listener->address, error.text);
    }
}

/* The logical databases may be one file. */
static bool is_first_of_file(const struct config *config, size_t index)
{
    const struct database_config *database = &config->databases[index];
    if (strcmp(database->driver, "sqlite") != 0)
        return false;
    for (size_t i = 0; i < index; i++)
        if (strcmp(config->databases[i].driver, "sqlite") == 0 &&
            strcmp(config->databases[i].path, database->path) == 0)
            return false;
    return true;
}

static void start_checkpoints(struct housekeeper *keeper)
{
    const struct config *config = keeper->child.setup->config;
    struct postern_error error;
    for (size_t i = 0; i < config->databases_length && i < DATABASES; i++) {
        if (!is_first_of_file(config, i))
            continue;
        keeper->checkpoints[i] = sqlite_checkpoint_start(&config->databases[i], &error);
        if (keeper->checkpoints[i] == NULL)
            log_error("%s", error.text);
    }
}

static void on_patience_end(struct ev_loop *loop, ev_timer *watcher, int revents)
{
    (void)loop, (void)watcher, (void)revents;
    fiber_runtime_stop();
}

/* Leaving in the midst of a mail would send it again later. */
static void housekeeper_leave(struct child *child, enum child_leave how)
{
    (void)how;
    struct housekeeper *keeper = (struct housekeeper *)child;
    keeper->leaving = true;
    if (keeper->notify.busy)
        ev_timer_start(fiber_loop(), &keeper->patience);
    else
        fiber_runtime_stop();
}

int housekeeper_run(const struct child_setup *setup)
{
    struct housekeeper keeper = {0};
    struct job jobs[] = {{&keeper, keep_house, FIRST_RUN, HOUR},
                         {&keeper, send_notifications, NOTIFY_EVERY, NOTIFY_EVERY}};
    listener_set_close_others(setup->listeners, LISTENER_METRICS);
    close(setup->handoff_send);
    close(setup->handoff_receive);
    child_begin(&keeper.child, setup, "posternd-keeper", housekeeper_leave);
    databases_open(&keeper.databases, setup->config);
    dns_open(setup->config);
    keeper.turn = (struct lease){.db = databases_find(&keeper.databases, "iredapd"),
                                 .name = "housekeeping",
                                 .seconds = TURN};
    keeper.notify.config = setup->config;
    keeper.notify.db = databases_find(&keeper.databases, "iredapd");
    ev_timer_init(&keeper.patience, on_patience_end, PATIENCE, 0);
    start_endpoint(&keeper);
    start_checkpoints(&keeper);
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++)
        if (!fiber_spawn(job_main, &jobs[i]))
            return 1;
    child_ready(&keeper.child);
    fiber_runtime_run();
    metrics_http_stop(keeper.endpoint);
    for (size_t i = 0; i < DATABASES; i++)
        sqlite_checkpoint_stop(keeper.checkpoints[i]);
    _exit(0); /* the fibers of jobs may still use the rest */
}
