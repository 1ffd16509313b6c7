/*
 * Scenarios that show what a database driver promises, run against a real server by
 * test_db_drivers.py: db_driver_check [key=value ...] SCENARIO. The keys are those of
 * struct database_config; `deadline` is the seconds that a call may take.
 */
#ifndef TESTS_INTEGRATION_DB_DRIVER_CHECK_H
#define TESTS_INTEGRATION_DB_DRIVER_CHECK_H

#include "db/driver.h"
#include "runtime/fiber.h"
#include "util/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern struct database_config check_config;
extern double check_seconds;
extern bool check_old_tables; /* tables as iRedAPD has made them */
extern const struct db_driver *check_driver;

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);                                 \
            printf(__VA_ARGS__);                                                                   \
            putchar('\n');                                                                         \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* What a call gave; asked again, the earlier rows are gone. */
struct answer {
    struct postern_arena *arena;
    enum db_result result;
    struct postern_rows rows;
    struct postern_error error;
};

const char *result_name(enum db_result result);

struct db_connection *check_connect(void);
void ask_within(struct answer *answer, struct db_connection *connection, double seconds,
                const struct postern_statement *statement, const struct postern_value *values,
                size_t count);
void answer_free(struct answer *answer);

/* The same where only DB_OK is right. */
void must(struct answer *answer, struct db_connection *connection,
          const struct postern_statement *statement, const struct postern_value *values,
          size_t count);
int64_t must_integer(struct db_connection *connection, const struct postern_statement *statement,
                     const struct postern_value *values, size_t count);
void must_script(struct db_connection *connection, const char *sql);

/* The table `counters`, empty. */
void counters_make(struct db_connection *connection);
extern const struct postern_statement counter_add;  /* (name, by) RETURNING n */
extern const struct postern_statement counter_read; /* (name) */

bool is_pgsql(void);

struct scenario {
    const char *name;
    void (*run)(void);
};
extern const struct scenario fault_scenarios[]; /* these end with one that has no name */
extern const struct scenario rate_scenarios[];
extern const struct scenario triplet_scenarios[];
extern const struct scenario transaction_scenarios[];

#endif
