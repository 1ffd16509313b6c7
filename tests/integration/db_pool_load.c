/*
 * Clients of one database, through its pool: db_pool_load [key=value ...]. The keys are those of
 * struct database_config, and fibers, seconds, deadline. Each client asks as greylisting does,
 * pausing for 10 ms after each answer. Prints a line for each request: its start and its
 * duration in seconds, and "ok" or what went wrong.
 */
#include "db/db.h"
#include "runtime/fiber.h"
#include "util/arena.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAUSE 0.01

static struct database_config config = {.name = "load", .tls = TLS_PREFER, .pool_size = 4};
static double fibers = 32, seconds = 5, deadline = 20;
static struct db *db;
static double end;

static const struct postern_statement add = {
    .pgsql = "INSERT INTO loads (name, n) VALUES (?, 1)"
             " ON CONFLICT (name) DO UPDATE SET n = loads.n + 1 RETURNING n",
    .mysql = "INSERT INTO loads (name, n) VALUES (?, 1) ON DUPLICATE KEY UPDATE n = n + 1",
    .repeatable = true};
static const struct postern_statement read_back = {.sql = "SELECT n FROM loads WHERE name = ?"};

static double wall_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static enum postern_lookup ask(struct postern_arena *arena, double until, const char *name,
                               struct postern_error *error)
{
    const struct postern_statement *const both[] = {&add, &read_back};
    enum postern_lookup lookup = POSTERN_FOUND;
    for (size_t i = 0; i < 2 && lookup == POSTERN_FOUND; i++) {
        struct postern_value value = postern_text(name);
        struct db_query query = {both[i], &value, 1, arena, until};
        struct postern_rows rows;
        lookup = db_query(db, &query, &rows, error);
    }
    return lookup;
}

static void client(void *arg)
{
    char name[32];
    snprintf(name, sizeof name, "client %zu", (size_t)arg);
    while (fiber_now() < end) {
        struct postern_arena *arena = arena_new();
        struct postern_error error = {.text = "nothing was found"};
        double start = fiber_now(), at = wall_clock();
        bool good = ask(arena, start + deadline, name, &error) == POSTERN_FOUND;
        printf("%.4f %.6f %s\n", at, fiber_now() - start, good ? "ok" : error.text);
        arena_free(arena);
        fiber_sleep(PAUSE, NEVER);
    }
}

static void load(void *arg)
{
    (void)arg;
    struct postern_error error = {.text = ""};
    db = db_new(&config);
    if (!db_script(db, "CREATE TABLE IF NOT EXISTS loads (name VARCHAR(64) PRIMARY KEY, n BIGINT)",
                   fiber_now() + deadline, &error))
        fprintf(stderr, "%s\n", error.text);
    end = fiber_now() + seconds;
    for (size_t i = 0; i < (size_t)fibers; i++)
        if (!fiber_spawn(client, (void *)i))
            exit(1);
    fiber_sleep(seconds, NEVER);
    while (fiber_count() > 1 && fiber_sleep(0.01, end + 2 * deadline))
        ;
    db_free(db);
}

static bool set(const char *key, const char *value)
{
    const struct {
        const char *key;
        const char **text;
        int64_t *integer;
        double *number;
    } settings[] = {
        {"driver", &config.driver, NULL, NULL},
        {"host", &config.host, NULL, NULL},
        {"dbname", &config.dbname, NULL, NULL},
        {"user", &config.user, NULL, NULL},
        {"password", &config.password, NULL, NULL},
        {"port", NULL, &config.port, NULL},
        {"pool_size", NULL, &config.pool_size, NULL},
        {"fibers", NULL, NULL, &fibers},
        {"seconds", NULL, NULL, &seconds},
        {"deadline", NULL, NULL, &deadline},
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (strcmp(settings[i].key, key) != 0)
            continue;
        if (settings[i].text != NULL)
            *settings[i].text = value;
        else if (settings[i].integer != NULL)
            *settings[i].integer = strtoll(value, NULL, 10);
        else
            *settings[i].number = strtod(value, NULL);
        return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (value != NULL)
            *value++ = '\0';
        if (value == NULL || !set(argv[i], value)) {
            fprintf(stderr, "usage: db_pool_load [key=value ...]: what is %s?\n", argv[i]);
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    fiber_runtime_start();
    if (!fiber_spawn(load, NULL))
        return 1;
    fiber_runtime_run();
    fiber_runtime_end();
    return 0;
}
