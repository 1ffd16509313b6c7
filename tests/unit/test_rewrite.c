#include "sqlite_file.h"
#include "srs/rewrite.h"

#if HAVE_CRYPTO

#define TABLES                                                                                     \
    "CREATE TABLE srs_exclude_domains (id INTEGER PRIMARY KEY, domain TEXT);"                      \
    "INSERT INTO srs_exclude_domains (domain) VALUES ('plain.example'), ('.dotted.example');"      \
    "CREATE TABLE domain (domain TEXT, backupmx INTEGER, active INTEGER);"                         \
    "INSERT INTO domain VALUES ('hosted.example', 0, 1), ('backup.example', 1, 1);"                \
    "CREATE TABLE alias_domain (alias_domain TEXT, target_domain TEXT, active INTEGER);"           \
    "INSERT INTO alias_domain VALUES ('alias.example', 'hosted.example', 1);"

static const char *listed[] = {"listed.example"};
static const char *secrets[] = {"secret"};

static struct config config;
static struct database_config database_configs[2];
static struct databases databases;
static struct rewrite rewrite;
static struct postern_arena *arena;
static const char *why;

static void open_rewrite(int64_t ttl)
{
    static const char *const names[] = {"iredapd", "vmail"};
    for (size_t i = 0; i < 2; i++)
        database_configs[i] = (struct database_config){
            .name = names[i], .driver = "sqlite", .path = file, .pool_size = 1, .configured = true};
    arena = arena_new();
    config = (struct config){.arena = arena,
                             .databases = database_configs,
                             .databases_length = 2,
                             .local_domains = {1, listed},
                             .srs = {.domain = "srs.example", .secrets = {1, secrets}}};
    databases_open(&databases, &config);
    rewrite_init(&rewrite, &config, &databases, ttl > 0 ? db_cache_new(ttl) : NULL);
    rewrite.host = "mx.example";
}

static void close_rewrite(void)
{
    db_cache_free(rewrite.cache);
    databases_close(&databases);
    arena_free(arena);
}

static void with_rewrite(void (*body)(void *arg), const char *sql)
{
    file_make(sql);
    in_fiber(body, NULL);
    file_remove();
}

static enum rewrite_result forward(const char *address)
{
    const char *result = NULL;
    enum rewrite_result done =
        rewrite_forward(&rewrite, arena, address, fiber_now() + 10, &result, &why);
    assert_true((done == REWRITE_DONE) == (result != NULL));
    if (done == REWRITE_DONE)
        assert_int_equal(strncmp(result + (result[0] == '"'), "SRS0=", 5), 0);
    return done;
}

static void forward_all(void *arg)
{
    (void)arg;
    static const struct {
        const char *address, *why; /* NULL: rewritten */
    } cases[] = {
        {"", "not an address"},
        {"alice", "not an address"},
        {"alice@srs.example", "in the SRS domain"},
        {"SRS0=abcd=AA=x.example=y@SRS.Example", "in the SRS domain"},
        {"root@mx.example", "this host's name"},
        {"root@MX.Example", "this host's name"},
        {"root@sub.mx.example", NULL},
        {"bob@listed.example", "hosted here"},
        {"bob@Hosted.Example", "hosted here"},
        {"bob@alias.example", "hosted here"},
        {"bob@backup.example", "hosted here"},
        {"bob@sub.hosted.example", NULL},
        {"x@plain.example", "excluded"},
        {"x@A.B.Plain.Example", "excluded"},
        {"x@dotted.example", "excluded"},
        {"x@sub.dotted.example", "excluded"},
        {"x@undotted.example", NULL},
        {"x@explain.example", NULL},
        {"x@[192.0.2.1]", NULL},
        {"alice@remote.example", NULL},
    };
    open_rewrite(0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum rewrite_result done = forward(cases[i].address);
        if (done != (cases[i].why == NULL ? REWRITE_DONE : REWRITE_NOT_FOUND))
            fail_msg("%s: %d, %s", cases[i].address, (int)done, why);
        if (cases[i].why != NULL && strstr(why, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].address, why);
    }
    close_rewrite();
}

static void only_what_leaves_here_is_rewritten(void **state)
{
    (void)state;
    with_rewrite(forward_all, TABLES);
}

static void forward_there_and_back(void *arg)
{
    (void)arg;
    open_rewrite(0);
    const char *result, *original;
    assert_int_equal(
        rewrite_forward(&rewrite, arena, "Alice@Remote.Example", fiber_now() + 10, &result, &why),
        REWRITE_DONE);
    assert_string_equal(why, "");
    databases_close(&databases);
    assert_int_equal(rewrite_reverse(&rewrite, arena, result, &original, &why), REWRITE_DONE);
    assert_string_equal(original, "Alice@Remote.Example");
    close_rewrite();
}

static void reverse_needs_no_database(void **state)
{
    (void)state;
    with_rewrite(forward_there_and_back, TABLES);
}

static void reverse_others(void *arg)
{
    (void)arg;
    open_rewrite(0);
    const char *result;
    assert_int_equal(rewrite_reverse(&rewrite, arena, "alice@srs.example", &result, &why),
                     REWRITE_NOT_FOUND);
    assert_non_null(strstr(why, "no SRS address"));
    assert_int_equal(
        rewrite_reverse(&rewrite, arena, "SRS0=abcd=AA=x.example=y@srs.example", &result, &why),
        REWRITE_NOT_FOUND);
    assert_non_null(strstr(why, "hash"));
    srs_forward(&rewrite.srs, arena, "alice@remote.example", 86400, &result);
    assert_int_equal(rewrite_reverse(&rewrite, arena, result, &result, &why), REWRITE_NOT_FOUND);
    assert_non_null(strstr(why, "21 days"));
    close_rewrite();
}

static void what_is_not_reversed_has_a_reason(void **state)
{
    (void)state;
    with_rewrite(reverse_others, TABLES);
}

static void forward_without(void *arg)
{
    const char *table = arg;
    open_rewrite(60);
    assert_int_equal(forward("alice@remote.example"), REWRITE_TRY_AGAIN);
    if (strstr(why, table) == NULL)
        fail_msg("%s", why);
    close_rewrite();
}

static void without_table(const char *drop, const char *table)
{
    file_make(TABLES);
    file_make(drop);
    in_fiber(forward_without, (void *)table);
    file_remove();
}

static void failed_lookup_is_to_be_tried_again(void **state)
{
    (void)state;
    without_table("DROP TABLE srs_exclude_domains", "srs_exclude_domains");
    without_table("DROP TABLE alias_domain", "alias_domain");
}

static void forward_certain(void *arg)
{
    (void)arg;
    open_rewrite(0);
    file_make("DROP TABLE alias_domain");
    assert_int_equal(forward("x@plain.example"), REWRITE_NOT_FOUND);
    assert_int_equal(forward("bob@listed.example"), REWRITE_NOT_FOUND);
    assert_int_equal(forward("bob@hosted.example"), REWRITE_TRY_AGAIN);
    file_make("DROP TABLE srs_exclude_domains");
    assert_int_equal(forward("bob@listed.example"), REWRITE_NOT_FOUND);
    assert_int_equal(forward("root@mx.example"), REWRITE_NOT_FOUND);
    close_rewrite();
}

static void what_is_certain_needs_no_other_lookup(void **state)
{
    (void)state;
    with_rewrite(forward_certain, TABLES);
}

static void forward_long(void *arg)
{
    (void)arg;
    open_rewrite(0);
    char *address = postern_alloc(arena, 300);
    memset(address, 'a', 60);
    strcat(address, "@remote.example");
    assert_int_equal(forward(address), REWRITE_DONE);
    assert_non_null(strstr(why, "64 bytes"));
    memset(address, 'a', 270);
    strcpy(address + 270, "@remote.example");
    assert_int_equal(forward(address), REWRITE_DONE);
    assert_non_null(strstr(why, "254 bytes"));
    close_rewrite();
}

static void long_result_is_written_with_a_remark(void **state)
{
    (void)state;
    with_rewrite(forward_long, TABLES);
}

static void forward_many_labels(void *arg)
{
    (void)arg;
    open_rewrite(0);
    char *address = postern_alloc(arena, 100001);
    memcpy(address, "x@", 2);
    for (size_t i = 2; i < 100000; i += 2)
        memcpy(address + i, "a.", 2);
    memcpy(address + 99998, "aa", 2);
    assert_int_equal(forward(address), REWRITE_DONE);
    close_rewrite();
}

static void endless_domain_is_not_looked_up_label_by_label(void **state)
{
    (void)state;
    with_rewrite(forward_many_labels, TABLES);
}

static void forward_remembered(void *arg)
{
    (void)arg;
    open_rewrite(60);
    assert_int_equal(forward("alice@remote.example"), REWRITE_DONE);
    assert_int_equal(forward("x@plain.example"), REWRITE_NOT_FOUND);
    file_make("DELETE FROM srs_exclude_domains;"
              "INSERT INTO srs_exclude_domains (domain) VALUES ('remote.example')");
    assert_int_equal(forward("bob@remote.example"), REWRITE_DONE);
    assert_int_equal(forward("x@plain.example"), REWRITE_NOT_FOUND);
    db_cache_free(rewrite.cache);
    rewrite.cache = NULL;
    assert_int_equal(forward("bob@remote.example"), REWRITE_NOT_FOUND);
    close_rewrite();
}

static void lookups_are_remembered(void **state)
{
    (void)state;
    with_rewrite(forward_remembered, TABLES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_leaves_here_is_rewritten),
        cmocka_unit_test(reverse_needs_no_database),
        cmocka_unit_test(what_is_not_reversed_has_a_reason),
        cmocka_unit_test(failed_lookup_is_to_be_tried_again),
        cmocka_unit_test(what_is_certain_needs_no_other_lookup),
        cmocka_unit_test(long_result_is_written_with_a_remark),
        cmocka_unit_test(endless_domain_is_not_looked_up_label_by_label),
        cmocka_unit_test(lookups_are_remembered),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}

#else

int main(void)
{
    return 77; /* skipped: without libcrypto nothing is rewritten */
}

#endif
