#include "db/listing.h"
#include "sqlite_file.h"

#define COLUMNS "SELECT id, account, subject, weight FROM entries "
#define PAGE    "WHERE id > ? ORDER BY id LIMIT ?"
#define OF      "WHERE account IN (?...) AND subject IN (?...)"

static const struct postern_listing_table plain = {
    .database = "iredapd",
    .page = {.sql = COLUMNS PAGE},
    .networks = {.sql = "SELECT id, account, subject, weight FROM entries WHERE id > ?"
                        " AND (subject LIKE '%/%' OR subject LIKE '%*%') ORDER BY id LIMIT ?"},
    .find = {.sql = COLUMNS OF}};
#define PAIRS "SELECT id / 10, id % 10, account, subject, weight FROM entries "

/* The key is a pair; networks have an id. */
static const struct postern_listing_table paired = {
    .database = "iredapd",
    .pair = true,
    .page = {.sql = PAIRS "WHERE +id / 10 >= ? AND (id / 10, id % 10) > (?, ?)"
                          " ORDER BY id / 10, id % 10 LIMIT ?"},
    .networks = {.sql = "SELECT id, '', subject FROM entries WHERE id > ?"
                        " AND (subject LIKE '%/%' OR subject LIKE '%*%') ORDER BY id LIMIT ?"},
    .find = {.sql = PAIRS OF}};
static const struct postern_listing_table without_networks = {
    .database = "iredapd", .page = {.sql = COLUMNS PAGE}, .find = {.sql = COLUMNS OF}};
/* Leaves a trace of each row that it reads. */
static const struct postern_listing_table traced = {
    .database = "iredapd",
    .page = {.sql = "INSERT INTO trace (id, account, subject, weight) " COLUMNS PAGE
                    " RETURNING id, account, subject, weight"}};
static const struct postern_listing_table backwards = {
    .database = "iredapd", .page = {.sql = COLUMNS "WHERE id > ? ORDER BY id DESC LIMIT ?"}};

static struct db *db;
static struct listing *list;
static struct db_cache *cache;

static int folder_with_file(void **state)
{
    if (folder_make(state) != 0)
        return -1;
    file_make("CREATE TABLE entries (id INTEGER PRIMARY KEY, account TEXT DEFAULT '@.',"
              " subject TEXT, weight INTEGER DEFAULT 0);"
              "CREATE TABLE trace (id INTEGER, account TEXT, subject TEXT, weight INTEGER)");
    return 0;
}

static void open_limited(const struct postern_listing_table *table, size_t max_rows)
{
    db = db_new(&file_config);
    list = listing_new(table, max_rows);
    cache = db_cache_new(0);
}

static void open_list(const struct postern_listing_table *table)
{
    open_limited(table, POSTERN_LISTING_ROWS);
}

static void close_list(void)
{
    listing_free(list);
    db_cache_free(cache);
    db_free(db);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct postern_listing_row *)a)->subject,
                  ((const struct postern_listing_row *)b)->subject);
}

/* The subjects that match, in alphabetical order with spaces between, or "failed". */
static char *ask_list(struct postern_names accounts, struct postern_names subjects,
                      const char *address, int64_t ttl, char text[256])
{
    struct postern_ip ip;
    postern_ip_parse(address, &ip);
    struct listing_question question = {.accounts = accounts,
                                        .subjects = subjects,
                                        .ip = &ip,
                                        .arena = arena_new(),
                                        .deadline = fiber_now() + 10,
                                        .ttl = ttl,
                                        .cache = cache};
    struct postern_listing_rows rows;
    struct postern_error error;
    enum postern_lookup lookup = listing_match(list, db, &question, &rows, &error);
    if (rows.count > 0)
        qsort(rows.items, rows.count, sizeof *rows.items, by_text);
    text[0] = '\0';
    for (size_t i = 0; i < rows.count; i++)
        snprintf(text + strlen(text), 256 - strlen(text), "%s%s:%d", i > 0 ? " " : "",
                 rows.items[i].subject, (int)rows.items[i].values[0]);
    if (lookup == POSTERN_FAILED)
        strcpy(text, "failed");
    else
        assert_int_equal(lookup, rows.count > 0 ? POSTERN_FOUND : POSTERN_NOT_FOUND);
    arena_free(question.arena);
    return text;
}

#define NAMES(...)                                                                                 \
    (struct postern_names)                                                                         \
    {                                                                                              \
        sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *), (const char *[])             \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

/* What is listed for everybody about an address of a client. */
static char *match(const char *address, int64_t ttl, char text[256])
{
    return ask_list(NAMES("@."), NAMES(address), address, ttl, text);
}

static void matches(const char *address, const char *expected)
{
    char text[256];
    assert_string_equal(match(address, 60, text), expected);
}

static void match_names(void *arg)
{
    char text[256];
    open_limited(&plain, *(size_t *)arg);
    struct postern_names accounts = NAMES("bob@example.com", "@example.com", "@.");
    struct postern_names subjects = NAMES("eve@example.org", "@example.org", "@.");
    assert_string_equal(ask_list(accounts, subjects, "192.0.2.1", 60, text),
                        "192.0.2.0/24:4 @.:1 @example.org:2 eve@example.org:3");
    assert_string_equal(ask_list(NAMES("ann@example.com"), subjects, "192.0.2.1", 60, text), "");
    assert_string_equal(ask_list(accounts, NAMES("@example.net"), "", 60, text), "");
    close_list();
}

static const char NAMED[] =
    "INSERT INTO entries (account, subject, weight) VALUES"
    " ('@.', '@.', 1), ('@example.com', '@example.org', 2), ('bob@example.com',"
    " 'eve@example.org', 3), ('@example.com', '192.0.2.0/24', 4), ('@.', '198.51.100.0/24', 5),"
    " ('amy@example.com', '@example.org', 6)";

static void rows_match_by_account_and_by_name_or_network(void **state)
{
    (void)state;
    file_make(NAMED);
    in_fiber(match_names, &(size_t){POSTERN_LISTING_ROWS});
}

static void table_too_large_to_keep_is_asked_and_matches_the_same(void **state)
{
    (void)state;
    file_make(NAMED);
    in_fiber(match_names, &(size_t){5});
}

static void match_names_of_pairs(void *arg)
{
    char text[256];
    open_limited(&paired, *(size_t *)arg);
    struct postern_names accounts = NAMES("bob@example.com", "@example.com", "@.");
    struct postern_names subjects = NAMES("eve@example.org", "@example.org", "@.");
    assert_string_equal(ask_list(accounts, subjects, "192.0.2.1", 60, text),
                        "192.0.2.0/24:4 @.:1 @example.org:2 eve@example.org:3");
    close_list();
}

static void rows_with_a_pair_for_a_key_match_kept_or_asked(void **state)
{
    (void)state;
    file_make(NAMED);
    in_fiber(match_names_of_pairs, &(size_t){POSTERN_LISTING_ROWS});
    in_fiber(match_names_of_pairs, &(size_t){5});
}

static void match_without_networks(void *arg)
{
    char text[256];
    (void)arg;
    open_limited(&without_networks, 5);
    for (int i = 0; i < 2; i++)
        assert_string_equal(ask_list(NAMES("@."), NAMES("@."), "192.0.2.1", 0, text), "@.:1");
    close_list();
}

static void large_table_without_networks_is_asked(void **state)
{
    (void)state;
    file_make(NAMED);
    in_fiber(match_without_networks, NULL);
}

static void match_some(void *arg)
{
    (void)arg;
    open_list(&plain);
    matches("192.0.2.9", "0.0.0.0/0:0 192.0.0.0/16:0 192.0.2.*:0 192.0.2.9:0");
    matches("192.0.3.1", "0.0.0.0/0:0 192.0.0.0/16:0");
    matches("10.1.1.1", "0.0.0.0/0:0");
    matches("2001:db8:5::1", "2001:db8::/32:0");
    matches("2001:db9::1", "");
    close_list();
}

static void networks_that_hold_the_client_match(void **state)
{
    (void)state;
    file_make("INSERT INTO entries (subject) VALUES ('0.0.0.0/0'), ('192.0.0.0/16'), ('192.0.2.*'),"
              "('192.0.2.9'), ('2001:db8::/32'), ('@example.com'), ('nonsense'), (NULL)");
    in_fiber(match_some, NULL);
}

static void match_twins(void *arg)
{
    (void)arg;
    char text[256];
    open_list(&plain);
    match("192.0.2.1", 60, text);
    assert_non_null(strstr(text, "192.0.2.0/24"));
    assert_non_null(strstr(text, "192.0.2.*"));
    assert_non_null(strstr(text, "192.0.2.77/24"));
    close_list();
}

static void texts_of_one_network_all_match(void **state)
{
    (void)state;
    file_make(
        "INSERT INTO entries (subject) VALUES ('192.0.2.0/24'), ('192.0.2.*'), ('192.0.2.77/24')");
    in_fiber(match_twins, NULL);
}

static const char MANY[] =
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2499) "
    "INSERT INTO entries (subject) SELECT '10.' || (i / 250) || '.' || (i % 250) || '.0/24' FROM n";

static void match_in_pages(void *arg)
{
    (void)arg;
    open_list(&plain);
    matches("10.0.0.1", "10.0.0.0/24:0");
    matches("10.5.7.1", "10.5.7.0/24:0");
    matches("10.9.249.1", "10.9.249.0/24:0");
    matches("10.9.250.1", "");
    close_list();
}

static void table_of_many_pages_is_read_whole(void **state)
{
    (void)state;
    file_make(MANY);
    in_fiber(match_in_pages, NULL);
}

static void match_pairs_in_pages(void *arg)
{
    (void)arg;
    open_list(&paired);
    matches("10.0.0.1", "10.0.0.0/24:0");
    matches("10.3.249.1", "10.3.249.0/24:0");
    matches("10.9.249.1", "10.9.249.0/24:0");
    matches("10.9.250.1", "");
    close_list();
}

static void table_of_many_pages_of_pairs_is_read_whole(void **state)
{
    (void)state;
    file_make(MANY);
    in_fiber(match_pairs_in_pages, NULL);
}

static int left;

static void match_at_once(void *arg)
{
    (void)arg;
    matches("10.5.7.1", "10.5.7.0/24:0");
    if (--left > 0)
        return;
    assert_int_equal(ask_integer(db, "SELECT count(*) FROM trace"), 2500);
    close_list();
}

static void spawn_many(void *arg)
{
    (void)arg;
    open_list(&traced);
    left = 30;
    for (int i = 0; i < 30; i++)
        assert_true(fiber_spawn(match_at_once, NULL));
}

static void matches_at_once_share_a_load(void **state)
{
    (void)state;
    file_make(MANY);
    in_fiber(spawn_many, NULL);
}

static void match_changed(void *arg)
{
    (void)arg;
    char text[256];
    open_list(&plain);
    assert_string_equal(match("192.0.2.1", 1, text), "");
    ask_integer(db, "INSERT INTO entries (subject) VALUES ('192.0.2.0/24') RETURNING id");
    assert_string_equal(match("192.0.2.1", 1, text), "");
    assert_string_equal(match("192.0.2.1", 0, text), "192.0.2.0/24:0");
    ask_integer(db, "DELETE FROM entries RETURNING id");
    assert_string_equal(match("192.0.2.1", 60, text), "192.0.2.0/24:0");
    assert_true(fiber_sleep(1.01, NEVER));
    assert_string_equal(match("192.0.2.1", 1, text), "");
    close_list();
}

static void list_is_kept_for_ttl_and_not_at_all_for_zero(void **state)
{
    (void)state;
    in_fiber(match_changed, NULL);
}

static void match_without_table(void *arg)
{
    (void)arg;
    char text[256];
    open_list(&plain);
    assert_string_equal(match("192.0.2.1", 0, text), "192.0.2.0/24:0");
    ask_integer(db, "UPDATE entries SET subject = subject RETURNING 1");
    struct postern_error error;
    assert_true(db_script(db, "ALTER TABLE entries RENAME TO gone", fiber_now() + 5, &error));
    assert_string_equal(match("192.0.2.1", 0, text), "failed");
    assert_true(db_script(db, "ALTER TABLE gone RENAME TO entries", fiber_now() + 5, &error));
    assert_string_equal(match("192.0.2.1", 0, text), "192.0.2.0/24:0");
    close_list();
}

static void failed_load_fails_the_match_and_is_tried_again(void **state)
{
    (void)state;
    file_make("INSERT INTO entries (subject) VALUES ('192.0.2.0/24')");
    in_fiber(match_without_table, NULL);
}

static void match_backwards(void *arg)
{
    (void)arg;
    char text[256];
    open_list(&backwards);
    assert_string_equal(match("192.0.2.1", 60, text), "failed");
    close_list();
}

static void pages_out_of_order_are_an_error(void **state)
{
    (void)state;
    file_make("INSERT INTO entries (subject) VALUES ('192.0.2.0/24'), ('10.*')");
    in_fiber(match_backwards, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_with_file, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_match_by_account_and_by_name_or_network),
        TEST(table_too_large_to_keep_is_asked_and_matches_the_same),
        TEST(rows_with_a_pair_for_a_key_match_kept_or_asked),
        TEST(large_table_without_networks_is_asked),
        TEST(networks_that_hold_the_client_match),
        TEST(texts_of_one_network_all_match),
        TEST(table_of_many_pages_is_read_whole),
        TEST(table_of_many_pages_of_pairs_is_read_whole),
        TEST(matches_at_once_share_a_load),
        TEST(list_is_kept_for_ttl_and_not_at_all_for_zero),
        TEST(failed_load_fails_the_match_and_is_tried_again),
        TEST(pages_out_of_order_are_an_error),
    };
    return cmocka_run_group_tests_name("listing", tests, NULL, NULL);
}
