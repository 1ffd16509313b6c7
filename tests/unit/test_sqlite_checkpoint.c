#include "db/sqlite_checkpoint.h"
#include "sqlite_file.h"

#include <sys/stat.h>

static const struct postern_statement insert = {.sql =
                                                    "INSERT INTO t (b) VALUES (zeroblob(1000000))"};

static struct db *db;
static struct sqlite_checkpoint *checkpoint;

static int folder_with_file(void **state)
{
    if (folder_make(state) != 0)
        return -1;
    file_make("CREATE TABLE t (b BLOB)");
    return 0;
}

static off_t wal_size(void)
{
    struct stat status;
    char path[80];
    snprintf(path, sizeof path, "%s-wal", file);
    return stat(path, &status) == 0 ? status.st_size : -1;
}

static void insert_megabytes(int count)
{
    for (int i = 0; i < count; i++) {
        struct answer answer = ask_plain(db, &insert);
        assert_int_equal(answer.lookup, POSTERN_FOUND);
        answer_free(&answer);
    }
}

/* What the file would hold if its log were lost; -1 when it was written to while it was copied. */
static int64_t rows_without_log(void)
{
    char command[200], copy[80];
    snprintf(copy, sizeof copy, "%s/copy.db", folder);
    snprintf(command, sizeof command, "cp %s %s", file, copy);
    assert_int_equal(system(command), 0);
    sqlite3 *handle;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(copy, &handle), SQLITE_OK);
    int64_t count = -1;
    if (sqlite3_prepare_v2(handle, "SELECT count(*) FROM t", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(handle);
    unlink(copy);
    return count;
}

static void start(void)
{
    struct postern_error error;
    checkpoint = sqlite_checkpoint_start(&file_config, &error);
    assert_non_null(checkpoint);
}

static void write_little(void *arg)
{
    (void)arg;
    db = db_new(&file_config);
    start();
    insert_megabytes(2);
    assert_int_equal(rows_without_log(), 0); /* no worker has checkpointed */
    sqlite_checkpoint_stop(checkpoint);
    assert_int_equal(rows_without_log(), 2);
    db_free(db);
}

static void stopping_carries_the_log_over(void **state)
{
    (void)state;
    in_fiber(write_little, NULL);
}

static void write_much(void *arg)
{
    (void)arg;
    double limit = fiber_now() + 20;
    db = db_new(&file_config);
    insert_megabytes(20);
    assert_true(wal_size() > 16 * 1024 * 1024);
    start();
    while (wal_size() > 0 && fiber_now() < limit)
        assert_true(fiber_sleep(0.01, NEVER));
    assert_int_equal(wal_size(), 0);
    assert_int_equal(rows_without_log(), 20);
    insert_megabytes(5);
    while (rows_without_log() < 25 && fiber_now() < limit)
        assert_true(fiber_sleep(0.05, NEVER));
    assert_int_equal(rows_without_log(), 25);
    assert_true(wal_size() > 0); /* small enough to be used again */
    sqlite_checkpoint_stop(checkpoint);
    db_free(db);
}

static void large_log_is_cut_and_a_smaller_one_carried_over(void **state)
{
    (void)state;
    in_fiber(write_much, NULL);
}

static void start_without_file(void *arg)
{
    (void)arg;
    start();
    sqlite_checkpoint_stop(checkpoint);
    assert_int_equal(access(file, F_OK), -1);
}

static void missing_file_is_waited_for(void **state)
{
    (void)state;
    file_remove();
    in_fiber(start_without_file, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_with_file, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stopping_carries_the_log_over),
        TEST(large_log_is_cut_and_a_smaller_one_carried_over),
        TEST(missing_file_is_waited_for),
    };
    return cmocka_run_group_tests_name("sqlite_checkpoint", tests, NULL, NULL);
}
