#include "db_driver_check.h"

#include "db/migration.h"

struct database_config check_config = {.name = "check", .tls = TLS_PREFER, .pool_size = 8};
double check_seconds = 10;
bool check_old_tables;
const struct db_driver *check_driver;

/* --- asking --- */

const char *result_name(enum db_result result)
{
    static const char *const names[] = {
        [DB_OK] = "ok",
        [DB_ERROR] = "error",
        [DB_BUSY] = "busy",
        [DB_TIMEOUT] = "timeout",
        [DB_LOST_UNSENT] = "lost_unsent",
        [DB_LOST] = "lost",
    };
    return names[result];
}

bool is_pgsql(void)
{
    return strcmp(check_config.driver, "pgsql") == 0;
}

struct db_connection *check_connect(void)
{
    struct postern_error error;
    struct db_connection *connection =
        check_driver->connect(&check_config, fiber_now() + check_seconds, &error);
    CHECK(connection != NULL, "%s", error.text);
    return connection;
}

void answer_free(struct answer *answer)
{
    arena_free(answer->arena);
    answer->arena = NULL;
}

void ask_within(struct answer *answer, struct db_connection *connection, double seconds,
                const struct postern_statement *statement, const struct postern_value *values,
                size_t count)
{
    answer_free(answer);
    *answer = (struct answer){.arena = arena_new()};
    struct db_query query = {.statement = statement,
                             .values = values,
                             .count = count,
                             .arena = answer->arena,
                             .deadline = fiber_now() + seconds};
    answer->result = check_driver->query(connection, &query, &answer->rows, &answer->error);
}

void must(struct answer *answer, struct db_connection *connection,
          const struct postern_statement *statement, const struct postern_value *values,
          size_t count)
{
    ask_within(answer, connection, check_seconds, statement, values, count);
    CHECK(answer->result == DB_OK, "%s: %s", result_name(answer->result), answer->error.text);
}

int64_t must_integer(struct db_connection *connection, const struct postern_statement *statement,
                     const struct postern_value *values, size_t count)
{
    struct answer answer = {0};
    must(&answer, connection, statement, values, count);
    CHECK(answer.rows.count == 1, "%zu rows", answer.rows.count);
    int64_t integer = postern_row_integer(&answer.rows, 0, 0);
    answer_free(&answer);
    return integer;
}

void must_script(struct db_connection *connection, const char *sql)
{
    struct postern_error error;
    enum db_result result =
        check_driver->script(connection, sql, fiber_now() + check_seconds, &error);
    CHECK(result == DB_OK, "%s: %s", result_name(result), error.text);
}

/* --- a table to count in --- */

const struct postern_statement counter_add = {
    .pgsql = "INSERT INTO counters (name, n) VALUES (?, ?)"
             " ON CONFLICT (name) DO UPDATE SET n = counters.n + excluded.n RETURNING n",
    .mysql = "INSERT INTO counters (name, n) VALUES (?, ?)"
             " ON DUPLICATE KEY UPDATE n = n + VALUES(n) RETURNING n",
};
const struct postern_statement counter_read = {
    .sql = "SELECT COALESCE(MAX(n), 0) FROM counters WHERE name = ?"};

void counters_make(struct db_connection *connection)
{
    must_script(
        connection,
        "DROP TABLE IF EXISTS counters;"
        "CREATE TABLE counters (name VARCHAR(255) NOT NULL PRIMARY KEY, n BIGINT NOT NULL)");
}

/* --- values and rows --- */

static void kinds_make(struct db_connection *connection)
{
    must_script(connection, "DROP TABLE IF EXISTS kinds");
    must_script(connection, is_pgsql()
                                ? "CREATE TABLE kinds (big BIGINT, plain INTEGER, small SMALLINT,"
                                  " yes BOOLEAN, words VARCHAR(255), raw BYTEA)"
                                : "CREATE TABLE kinds (big BIGINT, plain INTEGER, small SMALLINT,"
                                  " yes BOOLEAN, words VARCHAR(255), raw VARBINARY(255))");
}

static void values_are_what_they_were(void)
{
    static const struct postern_statement insert = {
        .sql = "INSERT INTO kinds (big, plain, small, yes, words, raw)"
               " VALUES (?, ?, ?, 1 = ?, ?, ?)"};
    static const struct postern_statement read_all = {
        .sql = "SELECT big, plain, small, yes, words, raw, NULL, '?' FROM kinds"};
    struct db_connection *connection = check_connect();
    kinds_make(connection);
    struct answer answer = {0};
    must(&answer, connection, &insert,
         POSTERN_VALUES(postern_integer(INT64_MIN), postern_integer(-70000), postern_integer(7),
                        postern_integer(1), postern_text("a'b\\c\" \xc3\xa9"),
                        postern_bytes("\0\\x\xff'", 5)));
    CHECK(answer.rows.changed == 1 && answer.rows.count == 0, "%ld", (long)answer.rows.changed);

    must(&answer, connection, &read_all, POSTERN_NO_VALUES);
    const struct postern_value *cells = answer.rows.cells;
    CHECK(answer.rows.count == 1 && answer.rows.columns == 8, "%zu", answer.rows.columns);
    for (size_t i = 0; i < 4; i++)
        CHECK(cells[i].type == POSTERN_INTEGER, "column %zu", i);
    CHECK(cells[0].integer == INT64_MIN, "%s", cells[0].text);
    CHECK(strcmp(cells[1].text, "-70000") == 0, "%s", cells[1].text);
    CHECK(cells[2].integer == 7 && cells[3].integer == 1, "%s %s", cells[2].text, cells[3].text);
    CHECK(cells[4].type == POSTERN_TEXT, "type %d", cells[4].type);
    CHECK(strcmp(cells[4].text, "a'b\\c\" \xc3\xa9") == 0, "%s", cells[4].text);
    CHECK(cells[5].type == POSTERN_BYTES && cells[5].length == 5, "%zu", cells[5].length);
    CHECK(memcmp(cells[5].text, "\0\\x\xff'", 6) == 0, "bytes differ");
    CHECK(postern_row_is_null(&answer.rows, 0, 6), "not NULL");
    CHECK(strcmp(cells[7].text, "?") == 0, "%s", cells[7].text);
    answer_free(&answer);
    check_driver->close(connection);
}

static void nulls_and_wide_integers_are_taken(void)
{
    static const struct postern_statement insert = {
        .sql = "INSERT INTO kinds (plain, words, raw) VALUES (?, ?, ?)"};
    static const struct postern_statement find = {.sql = "SELECT words FROM kinds WHERE plain = ?"};
    struct db_connection *connection = check_connect();
    kinds_make(connection);
    struct answer answer = {0};
    must(&answer, connection, &insert,
         POSTERN_VALUES(postern_null(), postern_null(), postern_null()));
    must(&answer, connection, &find, POSTERN_VALUES(postern_null()));
    CHECK(answer.rows.count == 0, "NULL was equal to something");
    must(&answer, connection, &find, POSTERN_VALUES(postern_integer(INT64_C(1) << 40)));
    CHECK(answer.rows.count == 0, "%zu", answer.rows.count);
    must(&answer, connection, &insert,
         POSTERN_VALUES(postern_integer(5), postern_text(""), postern_bytes("", 0)));
    must(&answer, connection, &find, POSTERN_VALUES(postern_integer(5)));
    CHECK(answer.rows.count == 1 && !postern_row_is_null(&answer.rows, 0, 0), "empty became NULL");
    answer_free(&answer);
    check_driver->close(connection);
}

static void bytes_columns_are_found_by_text_and_by_lists(void)
{
    static const struct postern_statement insert = {.sql = "INSERT INTO kinds (raw) VALUES (?)"};
    static const struct postern_statement find = {.sql = "SELECT raw FROM kinds WHERE raw = ?"};
    static const struct postern_statement find_all = {
        .sql = "SELECT raw FROM kinds WHERE raw IN (?...) ORDER BY raw"};
    static const char *const items[] = {"a\\b@d.example", "@.", "c@d.example"};
    struct db_connection *connection = check_connect();
    kinds_make(connection);
    struct answer answer = {0};
    for (size_t i = 0; i < 2; i++)
        must(&answer, connection, &insert,
             POSTERN_VALUES(postern_bytes(items[i], strlen(items[i]))));
    must(&answer, connection, &find, POSTERN_VALUES(postern_text(items[0])));
    CHECK(answer.rows.count == 1, "%zu rows", answer.rows.count);
    must(&answer, connection, &find_all,
         POSTERN_VALUES(postern_texts((struct postern_names){3, (const char **)items})));
    CHECK(answer.rows.count == 2, "%zu rows", answer.rows.count);
    CHECK(strcmp(postern_row_text(&answer.rows, 1, 0), items[0]) == 0, "%s",
          postern_row_text(&answer.rows, 1, 0));
    must(&answer, connection, &find_all, POSTERN_VALUES(postern_texts((struct postern_names){0})));
    CHECK(answer.rows.count == 0, "%zu rows", answer.rows.count);
    answer_free(&answer);
    check_driver->close(connection);
}

static void upsert_returns_its_row_and_writes_are_counted(void)
{
    static const struct postern_statement set_all = {.sql = "UPDATE counters SET n = ? + n"};
    static const struct postern_statement delete_all = {.sql = "DELETE FROM counters"};
    struct db_connection *connection = check_connect();
    counters_make(connection);
    struct answer answer = {0};
    for (int64_t i = 1; i <= 3; i++)
        CHECK(must_integer(connection, &counter_add,
                           POSTERN_VALUES(postern_text("a"), postern_integer(2))) == 2 * i,
              "turn %d", (int)i);
    must_integer(connection, &counter_add, POSTERN_VALUES(postern_text("b"), postern_integer(2)));
    must(&answer, connection, &set_all, POSTERN_VALUES(postern_integer(INT64_C(1) << 33)));
    CHECK(answer.rows.changed == 2 && answer.rows.count == 0, "%d", (int)answer.rows.changed);
    must(&answer, connection, &delete_all, POSTERN_NO_VALUES);
    CHECK(answer.rows.changed == 2, "%d", (int)answer.rows.changed);
    must(&answer, connection, &delete_all, POSTERN_NO_VALUES);
    CHECK(answer.rows.changed == 0, "%d", (int)answer.rows.changed);
    answer_free(&answer);
    check_driver->close(connection);
}

static void failed_statement_leaves_a_good_connection(void)
{
    static const struct postern_statement bad = {.sql = "SELECT nothing FROM no_such_table"};
    static const struct postern_statement two = {.sql = "SELECT ? + ?"};
    struct db_connection *connection = check_connect();
    struct answer answer = {0};
    ask_within(&answer, connection, check_seconds, &bad, POSTERN_NO_VALUES);
    CHECK(answer.result == DB_ERROR, "%s", result_name(answer.result));
    CHECK(strstr(answer.error.text, "no_such_table") != NULL, "%s", answer.error.text);
    CHECK(strstr(answer.error.text, "posternctl db migrate") != NULL, "%s", answer.error.text);
    ask_within(&answer, connection, check_seconds, &two, POSTERN_VALUES(postern_integer(1)));
    CHECK(answer.result == DB_ERROR, "%s", result_name(answer.result));
    CHECK(must_integer(connection, &two, POSTERN_VALUES(postern_integer(1), postern_integer(2))) ==
              3,
          "sum");
    answer_free(&answer);
    check_driver->close(connection);
}

static void answer_too_large_is_refused(void)
{
    static const struct postern_statement rows = {
        .pgsql = "SELECT i FROM generate_series(1, 100000 + ?) i",
        .mysql = "SELECT seq FROM seq_1_to_200000 WHERE seq <= 100000 + ?"};
    static const struct postern_statement bytes = {
        .pgsql = "SELECT repeat('x', 1000000) FROM generate_series(1, 70)",
        .mysql = "SELECT REPEAT('x', 1000000) FROM seq_1_to_70"};
    struct db_connection *connection = check_connect();
    struct answer answer = {0};
    must(&answer, connection, &rows, POSTERN_VALUES(postern_integer(0)));
    CHECK(answer.rows.count == 100000, "%zu", answer.rows.count);
    ask_within(&answer, connection, check_seconds, &rows, POSTERN_VALUES(postern_integer(1)));
    CHECK(answer.result == DB_ERROR, "%s", result_name(answer.result));
    CHECK(strstr(answer.error.text, "100000 rows") != NULL, "%s", answer.error.text);
    check_driver->close(connection);
    connection = check_connect();
    ask_within(&answer, connection, check_seconds, &bytes, POSTERN_NO_VALUES);
    CHECK(answer.result == DB_ERROR, "%s", result_name(answer.result));
    CHECK(strstr(answer.error.text, "64 MB") != NULL, "%s", answer.error.text);
    answer_free(&answer);
    check_driver->close(connection);
}

static void statements_beyond_the_cache_are_freed_on_the_server(void)
{
    static const struct postern_statement held = {
        .pgsql = "SELECT count(*) FROM pg_prepared_statements",
        .mysql = "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS"
                 " WHERE VARIABLE_NAME = 'PREPARED_STMT_COUNT'"};
    struct db_connection *connection = check_connect();
    struct postern_arena *arena = arena_new();
    for (int64_t i = 0; i < 300; i++) {
        struct postern_statement *statement = postern_alloc(arena, sizeof *statement);
        statement->sql = postern_printf(arena, "SELECT %d", (int)i);
        CHECK(must_integer(connection, statement, POSTERN_NO_VALUES) == i, "%d", (int)i);
    }
    int64_t count = must_integer(connection, &held, POSTERN_NO_VALUES);
    CHECK(count <= 257, "%d statements are prepared", (int)count);
    arena_free(arena);
    check_driver->close(connection);
}

static void failed_script_leaves_nothing(void)
{
    static const struct postern_statement rows = {.sql = "SELECT COUNT(*) FROM counters"};
    struct db_connection *connection = check_connect();
    struct postern_error error;
    counters_make(connection);
    enum db_result result = check_driver->script(
        connection, "INSERT INTO counters VALUES ('a', 1); SELECT no_such_column FROM counters",
        fiber_now() + check_seconds, &error);
    CHECK(result == DB_ERROR, "%s", result_name(result));
    CHECK(strstr(error.text, "no_such_column") != NULL, "%s", error.text);
    CHECK(must_integer(connection, &rows, POSTERN_NO_VALUES) == 0, "the row is there");
    must_script(connection, "CREATE TABLE half (a INTEGER); DROP TABLE half -- at the end");
    check_driver->close(connection);
}

/* MySQL commits what is before it with each of them. */
static void failed_script_makes_no_tables(void)
{
    struct db_connection *connection = check_connect();
    struct postern_error error;
    if (is_pgsql()) {
        must_script(connection, "DROP TABLE IF EXISTS half");
        check_driver->script(connection,
                             "CREATE TABLE half (a INTEGER); SELECT no_such_column FROM half",
                             fiber_now() + check_seconds, &error);
        must_script(connection, "CREATE TABLE half (a INTEGER); DROP TABLE half");
    }
    check_driver->close(connection);
}

static void long_list_is_sent_whole(void)
{
    static const struct postern_statement find = {
        .sql = "SELECT COUNT(*) FROM counters WHERE name IN (?...)"};
    struct db_connection *connection = check_connect();
    struct postern_arena *arena = arena_new();
    const char **items = postern_alloc(arena, 16000 * sizeof *items);
    for (int i = 0; i < 16000; i++)
        items[i] = postern_printf(arena, "%0200d", i);
    counters_make(connection);
    must_integer(connection, &counter_add,
                 POSTERN_VALUES(postern_text(items[15999]), postern_integer(1)));
    CHECK(must_integer(connection, &find,
                       POSTERN_VALUES(postern_texts((struct postern_names){16000, items}))) == 1,
          "not found");
    arena_free(arena);
    check_driver->close(connection);
}

static void migrations_run_twice(void)
{
    static const struct postern_statement first = {
        .pgsql = "INSERT INTO greylisting_tracking (sender, recipient, client_address, init_time)"
                 " VALUES (?, ?, ?, ?) ON CONFLICT (sender, recipient, client_address)"
                 " DO UPDATE SET blocked_count = greylisting_tracking.blocked_count + 1"
                 " RETURNING blocked_count",
        .mysql = "INSERT INTO greylisting_tracking (sender, recipient, client_address, init_time)"
                 " VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE blocked_count = blocked_count + 1"
                 " RETURNING blocked_count"};
    struct db_connection *connection = check_connect();
    size_t run = 0;
    for (size_t i = 0; i < 2 * migrations_count; i++)
        if (strcmp(migrations[i % migrations_count].driver, check_config.driver) == 0) {
            must_script(connection, migrations[i % migrations_count].sql);
            run++;
        }
    CHECK(run >= 2, "no migrations for %s", check_config.driver);
    for (int64_t i = 0; i < 2; i++)
        CHECK(must_integer(connection, &first,
                           POSTERN_VALUES(postern_text("a@b"), postern_text("c@d"),
                                          postern_text("192.0.2.1"),
                                          postern_integer(INT64_C(1) << 33))) == i,
              "turn %d", (int)i);
    check_driver->close(connection);
}

/* Prints what connecting gave, and after how long. */
static void only_connect(void)
{
    struct postern_error error = {.text = ""};
    double start = fiber_now();
    struct db_connection *connection =
        check_driver->connect(&check_config, start + check_seconds, &error);
    printf("%.3f %s\n", fiber_now() - start, connection != NULL ? "connected" : error.text);
    if (connection != NULL)
        check_driver->close(connection);
}

static const struct scenario scenarios[] = {
    {"values_are_what_they_were", values_are_what_they_were},
    {"nulls_and_wide_integers_are_taken", nulls_and_wide_integers_are_taken},
    {"bytes_columns_are_found_by_text_and_by_lists", bytes_columns_are_found_by_text_and_by_lists},
    {"upsert_returns_its_row_and_writes_are_counted",
     upsert_returns_its_row_and_writes_are_counted},
    {"failed_statement_leaves_a_good_connection", failed_statement_leaves_a_good_connection},
    {"answer_too_large_is_refused", answer_too_large_is_refused},
    {"statements_beyond_the_cache_are_freed_on_the_server",
     statements_beyond_the_cache_are_freed_on_the_server},
    {"failed_script_leaves_nothing", failed_script_leaves_nothing},
    {"failed_script_makes_no_tables", failed_script_makes_no_tables},
    {"long_list_is_sent_whole", long_list_is_sent_whole},
    {"migrations_run_twice", migrations_run_twice},
    {"connect", only_connect},
    {NULL, NULL},
};

/* --- the program --- */

static bool text_set(const char *key, const char *value)
{
    const struct {
        const char *key;
        const char **to;
    } keys[] = {
        {"driver", &check_config.driver},     {"host", &check_config.host},
        {"dbname", &check_config.dbname},     {"user", &check_config.user},
        {"password", &check_config.password}, {"path", &check_config.path},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].key, key) != 0)
            continue;
        *keys[i].to = value;
        return true;
    }
    return false;
}

static bool tls_set(const char *value)
{
    static const char *const modes[] = {"disable", "prefer", "require", "verify"};
    for (size_t i = 0; i < 4; i++)
        if (strcmp(modes[i], value) == 0) {
            check_config.tls = (enum tls_mode)i;
            return true;
        }
    return false;
}

static bool parameter_set(char *text)
{
    char *value = strchr(text, '=');
    if (value == NULL)
        return false;
    *value++ = '\0';
    if (strcmp(text, "port") == 0)
        return (check_config.port = strtoll(value, NULL, 10)) > 0;
    if (strcmp(text, "pool_size") == 0)
        return (check_config.pool_size = strtoll(value, NULL, 10)) > 0;
    if (strcmp(text, "tables") == 0)
        return (check_old_tables = strcmp(value, "old") == 0);
    if (strcmp(text, "deadline") == 0)
        return (check_seconds = strtod(value, NULL)) > 0;
    return strcmp(text, "tls") == 0 ? tls_set(value) : text_set(text, value);
}

static const struct scenario *scenario_find(const char *name)
{
    const struct scenario *const lists[] = {scenarios, fault_scenarios, rate_scenarios,
                                            triplet_scenarios, transaction_scenarios};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        for (const struct scenario *scenario = lists[i]; scenario->name != NULL; scenario++)
            if (strcmp(scenario->name, name) == 0)
                return scenario;
    return NULL;
}

static void scenario_run(void *arg)
{
    const struct scenario *scenario = arg;
    scenario->run();
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc - 1; i++)
        CHECK(parameter_set(argv[i]), "not a parameter: %s", argv[i]);
    const struct scenario *scenario = argc > 1 ? scenario_find(argv[argc - 1]) : NULL;
    CHECK(scenario != NULL, "usage: db_driver_check [key=value ...] SCENARIO");
    check_driver = check_config.driver != NULL ? db_driver_find(check_config.driver) : NULL;
    CHECK(check_driver != NULL, "driver=NAME names no driver of this build");

    fiber_runtime_start();
    CHECK(fiber_spawn(scenario_run, (void *)scenario), "no memory");
    fiber_runtime_run();
    CHECK(fiber_count() == 0, "%zu fibers are left", fiber_count());
    fiber_runtime_end();
    puts("done");
    return 0;
}
