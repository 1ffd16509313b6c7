#include "runtime/metrics.h"
#include "sqlite_file.h"

#include <sys/stat.h>
#include <sys/wait.h>

static const char TABLE[] = "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT CHECK (b <> 'bad'))";
static const struct postern_statement insert = {.sql = "INSERT INTO t (b) VALUES (?)"};
static const struct postern_statement read_all = {.sql = "SELECT a, b FROM t ORDER BY a"};

static int folder_with_file(void **state)
{
    if (folder_make(state) != 0)
        return -1;
    file_make(TABLE);
    return 0;
}

/* --- values and rows --- */

static void ask_for_values(void *arg)
{
    (void)arg;
    static const struct postern_statement echo = {.sql = "SELECT ?, ?, ?, 2.5, x'0041'"};
    struct db *db = db_new(&file_config);
    struct answer answer = ask(db, &echo, postern_null(), postern_integer(-7), postern_text("a'b"));
    assert_int_equal(answer.lookup, POSTERN_FOUND);
    assert_int_equal(answer.rows.count, 1);
    assert_int_equal(answer.rows.columns, 5);
    assert_true(postern_row_is_null(&answer.rows, 0, 0));
    assert_string_equal(postern_row_text(&answer.rows, 0, 0), "");
    assert_int_equal(postern_row_integer(&answer.rows, 0, 1), -7);
    assert_string_equal(postern_row_text(&answer.rows, 0, 1), "-7");
    assert_string_equal(postern_row_text(&answer.rows, 0, 2), "a'b");
    assert_string_equal(postern_row_text(&answer.rows, 0, 3), "2.5");
    assert_int_equal(answer.rows.cells[4].type, POSTERN_BYTES);
    assert_memory_equal(answer.rows.cells[4].text, "\0A", 3);
    answer_free(&answer);
    db_free(db);
}

static void values_and_rows_are_what_they_were(void **state)
{
    (void)state;
    in_fiber(ask_for_values, NULL);
}

static void ask_with_lists(void *arg)
{
    (void)arg;
    static const struct postern_statement in_list = {
        .sql = "SELECT b FROM t WHERE b IN (?...) ORDER BY b"};
    const char *items[] = {"x", "z", "none"};
    struct db *db = db_new(&file_config);
    struct answer answer = ask(db, &in_list, postern_texts((struct postern_names){3, items}));
    assert_int_equal(answer.lookup, POSTERN_FOUND);
    assert_int_equal(answer.rows.count, 2);
    assert_string_equal(postern_row_text(&answer.rows, 1, 0), "z");
    answer_free(&answer);
    answer = ask(db, &in_list, postern_texts((struct postern_names){0}));
    assert_int_equal(answer.lookup, POSTERN_NOT_FOUND);
    answer_free(&answer);
    db_free(db);
}

static void list_finds_its_members_and_an_empty_one_nothing(void **state)
{
    (void)state;
    file_make("INSERT INTO t (b) VALUES ('x'), ('y'), ('z')");
    in_fiber(ask_with_lists, NULL);
}

static void ask_with_bytes(void *arg)
{
    (void)arg;
    static const struct postern_statement equal = {.sql = "SELECT a FROM t WHERE b = ?"};
    struct db *db = db_new(&file_config);
    struct answer answer = ask(db, &equal, postern_bytes("u@d.example", 11));
    assert_int_equal(answer.lookup, POSTERN_FOUND);
    answer_free(&answer);
    db_free(db);
}

static void bytes_equal_the_same_text(void **state)
{
    (void)state;
    file_make("INSERT INTO t (b) VALUES ('u@d.example')");
    in_fiber(ask_with_bytes, NULL);
}

static void ask_for_too_much(void *arg)
{
    (void)arg;
    static const struct postern_statement endless = {
        .sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"};
    static const struct postern_statement huge = {
        .sql = "SELECT zeroblob(40000000) UNION ALL SELECT zeroblob(40000000)"};
    struct db *db = db_new(&file_config);
    struct answer answer = ask_plain(db, &endless);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    assert_non_null(strstr(answer.error.text, "100000 rows"));
    answer_free(&answer);
    answer = ask_plain(db, &huge);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    assert_non_null(strstr(answer.error.text, "64 MB"));
    answer_free(&answer);
    db_free(db);
}

static void unbounded_answer_is_an_error(void **state)
{
    (void)state;
    in_fiber(ask_for_too_much, NULL);
}

static void ask_for_ever(void *arg)
{
    (void)arg;
    static const struct postern_statement endless = {
        .sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
               "SELECT count(*) FROM n"};
    struct db *db = db_new(&file_config);
    struct answer answer = ask_until(db, fiber_now() + 0.05, &endless, POSTERN_NO_VALUES);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    assert_non_null(strstr(answer.error.text, "deadline"));
    answer_free(&answer);
    db_free(db);
}

static void endless_statement_ends_at_its_deadline(void **state)
{
    (void)state;
    in_fiber(ask_for_ever, NULL);
}

/* --- group commit --- */

#define WRITERS 300

struct writing {
    struct db *db;
    int left, failed;
};

static struct writing writing;

static void done_writing(void)
{
    if (--writing.left == 0)
        db_free(writing.db);
}

static void insert_one(void *text)
{
    struct answer answer = ask(writing.db, &insert, postern_text(text));
    if (answer.lookup == POSTERN_FOUND)
        assert_int_equal(answer.rows.changed, 1);
    else
        writing.failed++;
    answer_free(&answer);
    done_writing();
}

static void start_writing(int left)
{
    writing = (struct writing){.db = db_new(&file_config), .left = left};
}

static void spawn_inserts(void *arg)
{
    (void)arg;
    start_writing(WRITERS);
    for (int i = 0; i < WRITERS; i++)
        assert_true(fiber_spawn(insert_one, "good"));
}

static void check_count(void *arg)
{
    assert_int_equal(ask_integer(NULL, "SELECT count(*) FROM t"), *(int *)arg);
}

static void all_rows_of_many_fibers_are_there(void **state)
{
    (void)state;
    in_fiber(spawn_inserts, NULL);
    assert_int_equal(writing.failed, 0);
    in_fiber(check_count, &(int){WRITERS});
}

static void spawn_one_bad(void *arg)
{
    (void)arg;
    start_writing(10);
    for (int i = 0; i < 10; i++)
        assert_true(fiber_spawn(insert_one, i == 4 ? "bad" : "good"));
}

static void failed_statement_fails_alone(void **state)
{
    (void)state;
    in_fiber(spawn_one_bad, NULL);
    assert_int_equal(writing.failed, 1);
    in_fiber(check_count, &(int){9});
}

static void roll_all_back(void *arg)
{
    (void)arg;
    static const struct postern_statement rolling = {
        .sql = "INSERT OR ROLLBACK INTO t (b) VALUES ('bad')"};
    struct answer answer = ask_plain(writing.db, &rolling);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    answer_free(&answer);
    done_writing();
}

static void spawn_rollback(void *arg)
{
    (void)arg;
    start_writing(6);
    for (int i = 0; i < 5; i++)
        assert_true(fiber_spawn(insert_one, "good"));
    assert_true(fiber_spawn(roll_all_back, NULL));
}

static void rolled_back_transaction_fails_all_its_statements(void **state)
{
    (void)state;
    in_fiber(spawn_rollback, NULL);
    assert_int_equal(writing.failed, 5);
    in_fiber(check_count, &(int){0});
}

/* --- transactions of the caller's --- */

/* Three rows, the second of which is what arg says. */
static void insert_three(void *arg)
{
    struct postern_arena *arena = arena_new();
    struct postern_value texts[] = {postern_text("first"), postern_text(arg), postern_text("last")};
    struct db_query queries[3];
    struct postern_rows rows[3];
    struct postern_error error = {{0}};
    for (size_t i = 0; i < 3; i++)
        queries[i] = (struct db_query){&insert, &texts[i], 1, arena, fiber_now() + 10, 0};
    bool done = db_transaction(writing.db, queries, 3, rows, &error);
    bool is_bad = strcmp(arg, "bad") == 0;
    assert_true(done == !is_bad);
    assert_int_equal(rows[0].changed + rows[2].changed, is_bad ? 0 : 2);
    assert_int_equal(error.text[0] != '\0', is_bad);
    arena_free(arena);
    done_writing();
}

static void spawn_transactions(void *arg)
{
    (void)arg;
    start_writing(4);
    assert_true(fiber_spawn(insert_one, "good"));
    assert_true(fiber_spawn(insert_three, "good"));
    assert_true(fiber_spawn(insert_three, "bad"));
    assert_true(fiber_spawn(insert_one, "good"));
}

static void failed_transaction_fails_alone_and_wholly(void **state)
{
    (void)state;
    in_fiber(spawn_transactions, NULL);
    in_fiber(check_count, &(int){5});
}

static void spawn_bad_transaction(void *arg)
{
    (void)arg;
    start_writing(1);
    assert_true(fiber_spawn(insert_three, "bad"));
}

static void failed_transaction_leaves_nothing(void **state)
{
    (void)state;
    in_fiber(spawn_bad_transaction, NULL);
    in_fiber(check_count, &(int){0});
}

static void write_returning(void *arg)
{
    (void)arg;
    static const struct postern_statement upsert = {
        .sql = "INSERT INTO t (a, b) VALUES (1, ?) "
               "ON CONFLICT (a) DO UPDATE SET b = t.b || excluded.b RETURNING b"};
    struct db *db = db_new(&file_config);
    struct answer answer = ask(db, &upsert, postern_text("x"));
    answer_free(&answer);
    answer = ask(db, &upsert, postern_text("y"));
    assert_int_equal(answer.lookup, POSTERN_FOUND);
    assert_string_equal(postern_row_text(&answer.rows, 0, 0), "xy");
    answer_free(&answer);
    assert_int_equal(ask_integer(db, "SELECT count(*) FROM t WHERE b = 'xy'"), 1);
    db_free(db);
}

static void returned_rows_of_a_write_are_kept(void **state)
{
    (void)state;
    in_fiber(write_returning, NULL);
}

static void change_nothing(void *arg)
{
    (void)arg;
    static const struct postern_statement delete = {.sql = "DELETE FROM t WHERE a = 12345"};
    struct db *db = db_new(&file_config);
    struct answer answer = ask_plain(db, &delete);
    assert_int_equal(answer.lookup, POSTERN_NOT_FOUND);
    answer_free(&answer);
    db_free(db);
}

static void write_that_changes_nothing_is_not_found(void **state)
{
    (void)state;
    file_make("INSERT INTO t (b) VALUES ('x')");
    in_fiber(change_nothing, NULL);
}

/* --- a file that another holds --- */

static sqlite3 *other;

static void lock_file(void)
{
    other = file_open();
    file_exec(other, "BEGIN IMMEDIATE");
}

static void unlock_file(void *arg)
{
    (void)arg;
    for (int turns = 0; turns < 20; turns++) {
        struct answer answer = ask_plain(writing.db, &read_all);
        assert_int_equal(answer.lookup, POSTERN_NOT_FOUND);
        answer_free(&answer);
        assert_true(fiber_sleep(0.001, NEVER));
    }
    assert_int_equal(writing.left, 6); /* nobody could write yet */
    sqlite3_close(other);
    done_writing();
}

static void write_while_locked(void *arg)
{
    (void)arg;
    start_writing(6);
    for (int i = 0; i < 5; i++)
        assert_true(fiber_spawn(insert_one, "good"));
    assert_true(fiber_spawn(unlock_file, NULL));
}

static void locked_file_makes_writers_wait_and_nobody_else(void **state)
{
    (void)state;
    lock_file();
    in_fiber(write_while_locked, NULL);
    assert_int_equal(writing.failed, 0);
    in_fiber(check_count, &(int){5});
}

static void write_too_late(void *arg)
{
    (void)arg;
    struct db *db = db_new(&file_config);
    double start = fiber_now();
    struct answer answer =
        ask_until(db, start + 0.05, &insert, POSTERN_VALUES(postern_text("late")));
    assert_true(fiber_now() - start < 5);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    assert_non_null(strstr(answer.error.text, file));
    assert_non_null(strstr(answer.error.text, "another process holds the write lock"));
    answer_free(&answer);
    db_free(db);
}

static void write_that_waited_until_its_deadline_is_not_done(void **state)
{
    (void)state;
    lock_file();
    in_fiber(write_too_late, NULL);
    sqlite3_close(other);
    in_fiber(check_count, &(int){0});
}

static void write_in_turns(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        struct answer answer = ask(writing.db, &insert, postern_text("good"));
        writing.failed += answer.lookup != POSTERN_FOUND;
        answer_free(&answer);
    }
    done_writing();
}

static void spawn_turns(void *arg)
{
    (void)arg;
    start_writing(8);
    for (int i = 0; i < 8; i++)
        assert_true(fiber_spawn(write_in_turns, NULL));
}

static void processes_that_write_at_once_lose_nothing(void **state)
{
    (void)state;
    pid_t child = fork();
    in_fiber(spawn_turns, NULL);
    if (child == 0)
        _exit(writing.failed > 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(writing.failed, 0);
    in_fiber(check_count, &(int){2 * 8 * 200});
}

/* --- scripts --- */

static void run_scripts(void *arg)
{
    (void)arg;
    struct db *db = db_new(&file_config);
    struct postern_error error;
    assert_true(
        db_script(db, "CREATE TABLE u (x); INSERT INTO u VALUES (1);", fiber_now() + 5, &error));
    assert_false(db_script(db, "INSERT INTO u VALUES (2); INSERT INTO nowhere VALUES (1);",
                           fiber_now() + 5, &error));
    assert_non_null(strstr(error.text, "nowhere"));
    assert_int_equal(ask_integer(db, "SELECT count(*) FROM u"), 1);
    db_free(db);
}

static void failed_script_leaves_nothing(void **state)
{
    (void)state;
    in_fiber(run_scripts, NULL);
}

/* --- files that are not what they should be --- */

static void fails_with(struct db *db, const char *text)
{
    struct answer answer = ask_plain(db, &read_all);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    assert_non_null(strstr(answer.error.text, "database iredapd: "));
    assert_non_null(strstr(answer.error.text, file));
    if (strstr(answer.error.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", answer.error.text, text);
    answer_free(&answer);
}

static void ask_missing(void *arg)
{
    (void)arg;
    struct db *db = db_new(&file_config);
    fails_with(db, "posternctl db init");
    assert_int_equal(access(file, F_OK), -1);
    file_make(TABLE);
    fails_with(db, "posternctl db init"); /* remembered */
    db_free(db);
}

static void missing_file_is_not_made_and_failure_remembered(void **state)
{
    (void)state;
    file_remove();
    in_fiber(ask_missing, NULL);
}

static void ask_garbage(void *arg)
{
    (void)arg;
    struct db *db = db_new(&file_config);
    fails_with(db, "not an SQLite database");
    db_free(db);
}

static void other_file_is_named_as_such(void **state)
{
    (void)state;
    file_remove();
    FILE *out = fopen(file, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is not a database\n", out);
    fclose(out);
    in_fiber(ask_garbage, NULL);
}

static void ask_replaced(void *arg)
{
    (void)arg;
    struct db *db = db_new(&file_config);
    assert_int_equal(ask_integer(db, "SELECT count(*) FROM t"), 1);
    file_remove();
    file_make(TABLE);
    file_make("INSERT INTO t (b) VALUES ('new'), ('file')");
    assert_true(fiber_sleep(0.15, NEVER)); /* the file is looked at ten times a second */
    assert_int_equal(ask_integer(db, "SELECT count(*) FROM t"), 2);
    file_remove();
    assert_true(fiber_sleep(0.15, NEVER));
    fails_with(db, "posternctl db init");
    db_free(db);
}

static void replaced_file_is_opened_anew(void **state)
{
    (void)state;
    file_make("INSERT INTO t (b) VALUES ('old')");
    in_fiber(ask_replaced, NULL);
}

static void fill_up(void *arg)
{
    (void)arg;
    static const struct postern_statement fill = {
        .sql = "INSERT INTO t (b) VALUES (hex(zeroblob(200000)))"};
    static const struct postern_statement limit = {.sql = "PRAGMA max_page_count = 20"};
    struct db *db = db_new(&file_config);
    struct answer answer = ask_plain(db, &limit);
    answer_free(&answer);
    answer = ask_plain(db, &fill);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    assert_non_null(strstr(answer.error.text, "free some space"));
    answer_free(&answer);
    answer = ask(db, &insert, postern_text("small"));
    assert_int_equal(answer.lookup, POSTERN_FOUND);
    answer_free(&answer);
    db_free(db);
}

static void full_disk_is_named_and_survived(void **state)
{
    (void)state;
    in_fiber(fill_up, NULL);
}

static void write_without_rights(void *arg)
{
    (void)arg;
    struct db *db = db_new(&file_config);
    assert_int_equal(ask_integer(db, "SELECT count(*) FROM t"), 0);
    struct answer answer = ask(db, &insert, postern_text("x"));
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    assert_non_null(strstr(answer.error.text, "it can't be written"));
    assert_non_null(strstr(answer.error.text, "as user nobody"));
    answer_free(&answer);
    db_free(db);
}

static void read_only_file_can_be_read_and_says_who_can_not_write(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chmod(file, 0644), 0);
    sqlite3 *holder = file_open(); /* keeps -wal and -shm, which nobody could not make */
    file_exec(holder, "SELECT * FROM t");
    assert_int_equal(seteuid(65534), 0);
    in_fiber(write_without_rights, NULL);
    assert_int_equal(seteuid(0), 0);
    sqlite3_close(holder);
}

static void ask_wrongly(void *arg)
{
    (void)arg;
    static const struct postern_statement no_table = {.sql = "SELECT x FROM nowhere"};
    static const struct postern_statement two = {.sql = "SELECT ?, ?"};
    struct db *db = db_new(&file_config);
    struct answer answer = ask_plain(db, &no_table);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    assert_non_null(strstr(answer.error.text, "posternctl db migrate"));
    answer_free(&answer);
    answer = ask(db, &two, postern_integer(1));
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    answer_free(&answer);
    assert_int_equal(ask_integer(db, "SELECT count(*) FROM t"), 0);
    db_free(db);
}

static void wrong_statement_fails_and_leaves_the_connection_good(void **state)
{
    (void)state;
    in_fiber(ask_wrongly, NULL);
}

static void ask_unknown_driver(void *arg)
{
    (void)arg;
    struct database_config config = {.name = "vmail", .driver = "oracle"};
    struct db *db = db_new(&config);
    struct answer answer = ask_plain(db, &read_all);
    assert_int_equal(answer.lookup, POSTERN_FAILED);
    assert_string_equal(answer.error.text, "database vmail: this build has no driver \"oracle\"");
    answer_free(&answer);
    db_free(db);
}

static void driver_that_is_not_built_is_an_error(void **state)
{
    (void)state;
    in_fiber(ask_unknown_driver, NULL);
}

/* --- metrics --- */

static void ask_counted(void *arg)
{
    (void)arg;
    static const struct postern_statement wrong = {.sql = "SELECT x FROM nowhere"};
    struct db *db = db_new(&file_config);
    const struct postern_statement *statements[] = {&read_all, &wrong, &read_all, &insert};
    for (size_t i = 0; i < 4; i++) {
        struct postern_value value = postern_text("x");
        struct answer answer =
            ask_until(db, fiber_now() + 10, statements[i], &value, statements[i] == &insert);
        answer_free(&answer);
    }
    db_free(db);
}

static void prints(const char *printed, const char *line)
{
    if (strstr(printed, line) == NULL)
        fail_msg("no \"%s\" in:\n%s", line, printed);
}

static void statements_are_counted_by_result(void **state)
{
    (void)state;
    struct config config = {.databases = &file_config, .databases_length = 1};
    metrics_create();
    db_prepare(&config);
    in_fiber(ask_counted, NULL);
    char *printed = NULL;
    size_t length;
    FILE *out = open_memstream(&printed, &length);
    metrics_print(out);
    fclose(out);
    prints(printed, "postern_db_queries_total{database=\"iredapd\",result=\"found\"} 1\n");
    prints(printed, "postern_db_queries_total{database=\"iredapd\",result=\"not_found\"} 2\n");
    prints(printed, "postern_db_queries_total{database=\"iredapd\",result=\"failed\"} 1\n");
    prints(printed, "postern_db_query_duration_seconds_count{database=\"iredapd\"} 4\n");
    prints(printed, "postern_db_pool_in_use{database=\"iredapd\"} 0\n");
    prints(printed, "postern_db_up{database=\"iredapd\"} 1\n");
    free(printed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_with_file, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_and_rows_are_what_they_were),
        TEST(list_finds_its_members_and_an_empty_one_nothing),
        TEST(bytes_equal_the_same_text),
        TEST(unbounded_answer_is_an_error),
        TEST(endless_statement_ends_at_its_deadline),
        TEST(all_rows_of_many_fibers_are_there),
        TEST(failed_statement_fails_alone),
        TEST(rolled_back_transaction_fails_all_its_statements),
        TEST(failed_transaction_fails_alone_and_wholly),
        TEST(failed_transaction_leaves_nothing),
        TEST(returned_rows_of_a_write_are_kept),
        TEST(write_that_changes_nothing_is_not_found),
        TEST(locked_file_makes_writers_wait_and_nobody_else),
        TEST(write_that_waited_until_its_deadline_is_not_done),
        TEST(processes_that_write_at_once_lose_nothing),
        TEST(failed_script_leaves_nothing),
        TEST(missing_file_is_not_made_and_failure_remembered),
        TEST(other_file_is_named_as_such),
        TEST(replaced_file_is_opened_anew),
        TEST(full_disk_is_named_and_survived),
        TEST(read_only_file_can_be_read_and_says_who_can_not_write),
        TEST(wrong_statement_fails_and_leaves_the_connection_good),
        TEST(driver_that_is_not_built_is_an_error),
        TEST(statements_are_counted_by_result),
    };
    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
