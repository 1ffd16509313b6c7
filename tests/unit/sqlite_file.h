/* An SQLite file in a folder of its own, and asking it in few words. */
#ifndef TESTS_UNIT_SQLITE_FILE_H
#define TESTS_UNIT_SQLITE_FILE_H

#include "db/db.h"
#include "fibers.h"
#include "util/arena.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/postern-test-XXXXXX";
static char file[64];
static struct database_config file_config = {.name = "iredapd", .driver = "sqlite", .path = file};

static inline sqlite3 *file_open(void)
{
    sqlite3 *handle = NULL;
    assert_int_equal(sqlite3_open(file, &handle), SQLITE_OK);
    return handle;
}

static inline void file_exec(sqlite3 *handle, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(handle, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

static inline void file_make(const char *sql)
{
    sqlite3 *handle = file_open();
    file_exec(handle, "PRAGMA journal_mode = WAL");
    file_exec(handle, sql);
    sqlite3_close(handle);
}

static inline void file_remove(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[80];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", file, suffixes[i]);
        unlink(path);
    }
}

static inline int folder_make(void **state)
{
    (void)state;
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(file, sizeof file, "%s/test.db", folder);
    return 0;
}

static inline int folder_remove(void **state)
{
    (void)state;
    file_remove();
    return rmdir(folder);
}

/* One question, whose rows live until answer_free. */
struct answer {
    struct postern_arena *arena;
    struct postern_rows rows;
    struct postern_error error;
    enum postern_lookup lookup;
};

static inline struct answer ask_until(struct db *db, double deadline,
                                      const struct postern_statement *statement,
                                      const struct postern_value *values, size_t count)
{
    struct answer answer = {.arena = arena_new()};
    struct db_query query = {statement, values, count, answer.arena, deadline};
    answer.lookup = db_query(db, &query, &answer.rows, &answer.error);
    return answer;
}

#define ask(db, statement, ...)                                                                    \
    ask_until(db, fiber_now() + 10, statement, POSTERN_VALUES(__VA_ARGS__))
#define ask_plain(db, statement) ask_until(db, fiber_now() + 10, statement, POSTERN_NO_VALUES)

static inline void answer_free(struct answer *answer)
{
    arena_free(answer->arena);
}

static inline int64_t ask_integer(struct db *db, const char *sql)
{
    struct postern_statement statement = {.sql = sql};
    struct db *own = db != NULL ? db : db_new(&file_config);
    struct answer answer = ask_plain(own, &statement);
    if (answer.lookup != POSTERN_FOUND)
        fail_msg("%s: %s", sql, answer.error.text);
    int64_t integer = postern_row_integer(&answer.rows, 0, 0);
    answer_free(&answer);
    if (db == NULL)
        db_free(own);
    return integer;
}

#endif
