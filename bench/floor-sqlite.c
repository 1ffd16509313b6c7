/*
 * floor-sqlite: how many new triplets a second a bare C loop writes, as the ceiling for
 * Postern's greylisting on SQLite.
 *
 * One prepared upsert on the schema that Postern uses, one transaction each, in WAL mode with
 * synchronous=NORMAL as Postern has it; no checkpoint is made while it is measured. The
 * locking is the one that several processes need, because Postern's workers need it too.
 */
#include "triplet.h"

#include <getopt.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_EVERY 64 /* upserts between two looks at the clock */

static const char upsert[] =
    "INSERT INTO greylisting_tracking (sender, recipient, client_address, sender_domain,"
    " rcpt_domain, init_time, block_expired, record_expired, blocked_count, passed)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6 + 900, ?6 + 86400, 1, 0)"
    " ON CONFLICT (sender, recipient, client_address) DO UPDATE SET"
    " blocked_count = blocked_count + (block_expired > ?6), passed = block_expired <= ?6,"
    " record_expired = CASE WHEN block_expired <= ?6 THEN ?6 + 2592000 ELSE record_expired END"
    " RETURNING block_expired, blocked_count, passed";

static sqlite3 *db;

static void die(const char *what)
{
    fprintf(stderr, "floor-sqlite: %s: %s\n", what, db != NULL ? sqlite3_errmsg(db) : "");
    exit(1);
}

static void execute(const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(sql);
}

static void execute_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    char *sql = NULL;
    size_t room = 0;
    if (getdelim(&sql, &room, '\0', file) < 0)
        die(path);
    fclose(file);
    execute(sql);
    free(sql);
}

static void database_open(const char *path)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (access(path, F_OK) == 0) {
        fprintf(stderr, "floor-sqlite: %s exists; give the name of a new file\n", path);
        exit(2);
    }
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK)
        die(path);
    execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
            "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -262144;"
            "PRAGMA temp_store = MEMORY;");
}

static void bind(sqlite3_stmt *statement, int number, const char *text)
{
    sqlite3_bind_text(statement, number, text, -1, SQLITE_STATIC);
}

static void upsert_new(sqlite3_stmt *statement, uint64_t number, int64_t now)
{
    struct triplet triplet;
    triplet_make(&triplet, number);
    bind(statement, 1, triplet.sender);
    bind(statement, 2, triplet.recipient);
    bind(statement, 3, triplet.client);
    bind(statement, 4, triplet.sender_domain);
    bind(statement, 5, TRIPLET_RECIPIENT_DOMAIN);
    sqlite3_bind_int64(statement, 6, now);
    if (sqlite3_step(statement) != SQLITE_ROW || sqlite3_step(statement) != SQLITE_DONE)
        die("upsert");
    sqlite3_reset(statement);
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void measure(double seconds)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v3(db, upsert, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
        SQLITE_OK)
        die("preparing the upsert");
    uint64_t count = 0;
    double start = now_seconds(), elapsed = 0;
    for (; elapsed < seconds; elapsed = now_seconds() - start)
        for (int i = 0; i < CLOCK_EVERY; i++)
            upsert_new(statement, count++, (int64_t)time(NULL));
    sqlite3_finalize(statement);
    printf("{\"upserts\": %llu, \"seconds\": %.3f, \"rate\": %.1f}\n", (unsigned long long)count,
           elapsed, (double)count / elapsed);
}

static int usage(FILE *out, int status)
{
    fprintf(out, "Usage: floor-sqlite [-d SECONDS] SCHEMA.sql DATABASE\n"
                 "Writes new greylisting triplets into the new file DATABASE for that long (3)\n"
                 "and prints how many a second, as JSON. DATABASE is left for you to remove.\n");
    return status;
}

int main(int argc, char **argv)
{
    double seconds = 3;
    int option;
    while ((option = getopt(argc, argv, "d:h")) != -1) {
        if (option == 'd')
            seconds = strtod(optarg, NULL);
        else
            return option == 'h' ? usage(stdout, 0) : usage(stderr, 2);
    }
    if (argc - optind != 2 || !(seconds > 0))
        return usage(stderr, 2);
    database_open(argv[optind + 1]);
    execute_file(argv[optind]);
    measure(seconds);
    sqlite3_close(db);
    return 0;
}
