#include "db/network_list.h"
#include "sqlite_file.h"

static const struct postern_statement pages = {
    .sql = "SELECT id, text FROM nets WHERE id > ? ORDER BY id LIMIT ?"};
/* Leaves a trace of each row that it reads. */
static const struct postern_statement traced_pages = {
    .sql = "INSERT INTO trace (id, text) SELECT id, text FROM nets WHERE id > ? "
           "ORDER BY id LIMIT ? RETURNING id, text"};
static const struct postern_statement backwards = {
    .sql = "SELECT id, text FROM nets WHERE id > ? ORDER BY id DESC LIMIT ?"};

static struct db *db;
static struct db_network_list *list;

static int folder_with_file(void **state)
{
    if (folder_make(state) != 0)
        return -1;
    file_make("CREATE TABLE nets (id INTEGER PRIMARY KEY, text TEXT);"
              "CREATE TABLE trace (id INTEGER, text TEXT)");
    return 0;
}

static void open_list(const struct postern_statement *statement)
{
    db = db_new(&file_config);
    list = db_network_list_new(statement);
}

static void close_list(void)
{
    db_network_list_free(list);
    db_free(db);
}

/* The texts with spaces between, or "failed". */
static char *match(const char *address, int64_t ttl, char text[256])
{
    struct postern_arena *arena = arena_new();
    struct postern_ip ip;
    struct postern_names names;
    struct postern_error error;
    assert_true(postern_ip_parse(address, &ip));
    enum postern_lookup lookup =
        db_network_list_match(list, db, ttl, fiber_now() + 10, arena, &ip, &names, &error);
    text[0] = '\0';
    for (size_t i = 0; i < names.count; i++)
        snprintf(text + strlen(text), 256 - strlen(text), "%s%s", i > 0 ? " " : "", names.items[i]);
    if (lookup == POSTERN_FAILED)
        strcpy(text, "failed");
    else
        assert_int_equal(lookup, names.count > 0 ? POSTERN_FOUND : POSTERN_NOT_FOUND);
    arena_free(arena);
    return text;
}

static void matches(const char *address, const char *expected)
{
    char text[256];
    assert_string_equal(match(address, 60, text), expected);
}

static void match_some(void *arg)
{
    (void)arg;
    open_list(&pages);
    matches("192.0.2.9", "192.0.2.9 192.0.2.* 192.0.0.0/16 0.0.0.0/0");
    matches("192.0.3.1", "192.0.0.0/16 0.0.0.0/0");
    matches("10.1.1.1", "0.0.0.0/0");
    matches("2001:db8:5::1", "2001:db8::/32");
    matches("2001:db9::1", "");
    close_list();
}

static void networks_that_hold_the_client_match_longest_first(void **state)
{
    (void)state;
    file_make("INSERT INTO nets (text) VALUES ('0.0.0.0/0'), ('192.0.0.0/16'), ('192.0.2.*'),"
              "('192.0.2.9'), ('2001:db8::/32'), ('@example.com'), ('nonsense'), (NULL)");
    in_fiber(match_some, NULL);
}

static void match_twins(void *arg)
{
    (void)arg;
    char text[256];
    open_list(&pages);
    match("192.0.2.1", 60, text);
    assert_non_null(strstr(text, "192.0.2.0/24"));
    assert_non_null(strstr(text, "192.0.2.*"));
    assert_non_null(strstr(text, "192.0.2.77/24"));
    close_list();
}

static void texts_of_one_network_all_match(void **state)
{
    (void)state;
    file_make("INSERT INTO nets (text) VALUES ('192.0.2.0/24'), ('192.0.2.*'), ('192.0.2.77/24')");
    in_fiber(match_twins, NULL);
}

static const char MANY[] =
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2499) "
    "INSERT INTO nets (text) SELECT '10.' || (i / 250) || '.' || (i % 250) || '.0/24' FROM n";

static void match_in_pages(void *arg)
{
    (void)arg;
    open_list(&pages);
    matches("10.0.0.1", "10.0.0.0/24");
    matches("10.5.7.1", "10.5.7.0/24");
    matches("10.9.249.1", "10.9.249.0/24");
    matches("10.9.250.1", "");
    close_list();
}

static void table_of_many_pages_is_read_whole(void **state)
{
    (void)state;
    file_make(MANY);
    in_fiber(match_in_pages, NULL);
}

static int left;

static void match_at_once(void *arg)
{
    (void)arg;
    matches("10.5.7.1", "10.5.7.0/24");
    if (--left > 0)
        return;
    assert_int_equal(ask_integer(db, "SELECT count(*) FROM trace"), 2500);
    close_list();
}

static void spawn_many(void *arg)
{
    (void)arg;
    open_list(&traced_pages);
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
    open_list(&pages);
    assert_string_equal(match("192.0.2.1", 1, text), "");
    ask_integer(db, "INSERT INTO nets (text) VALUES ('192.0.2.0/24') RETURNING id");
    assert_string_equal(match("192.0.2.1", 1, text), "");
    assert_string_equal(match("192.0.2.1", 0, text), "192.0.2.0/24");
    ask_integer(db, "DELETE FROM nets RETURNING id");
    assert_string_equal(match("192.0.2.1", 60, text), "192.0.2.0/24");
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
    open_list(&pages);
    assert_string_equal(match("192.0.2.1", 0, text), "192.0.2.0/24");
    ask_integer(db, "UPDATE nets SET text = text RETURNING 1");
    struct postern_error error;
    assert_true(db_script(db, "ALTER TABLE nets RENAME TO gone", fiber_now() + 5, &error));
    assert_string_equal(match("192.0.2.1", 0, text), "failed");
    assert_true(db_script(db, "ALTER TABLE gone RENAME TO nets", fiber_now() + 5, &error));
    assert_string_equal(match("192.0.2.1", 0, text), "192.0.2.0/24");
    close_list();
}

static void failed_load_fails_the_match_and_is_tried_again(void **state)
{
    (void)state;
    file_make("INSERT INTO nets (text) VALUES ('192.0.2.0/24')");
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
    file_make("INSERT INTO nets (text) VALUES ('192.0.2.0/24'), ('10.*')");
    in_fiber(match_backwards, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_with_file, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(networks_that_hold_the_client_match_longest_first),
        TEST(texts_of_one_network_all_match),
        TEST(table_of_many_pages_is_read_whole),
        TEST(matches_at_once_share_a_load),
        TEST(list_is_kept_for_ttl_and_not_at_all_for_zero),
        TEST(failed_load_fails_the_match_and_is_tried_again),
        TEST(pages_out_of_order_are_an_error),
    };
    return cmocka_run_group_tests_name("network_list", tests, NULL, NULL);
}
