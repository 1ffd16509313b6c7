#include "directory/directory.h"
#include "policy/protocol.h"
#include "policy/request.h"
#include "sqlite_file.h"

#define TABLES                                                                                     \
    "CREATE TABLE domain (domain TEXT PRIMARY KEY, backupmx INTEGER, active INTEGER);"             \
    "CREATE TABLE alias_domain (alias_domain TEXT PRIMARY KEY, target_domain TEXT,"                \
    " active INTEGER);"

#define ROWS                                                                                       \
    "INSERT INTO domain VALUES ('hosted.example', 0, 1), ('backup.example', 1, 1),"                \
    " ('closed.example', 0, 0), ('both.example', 0, 1);"                                           \
    "INSERT INTO alias_domain VALUES ('alias.example', 'hosted.example', 1),"                      \
    " ('switched-off.example', 'hosted.example', 0), ('of-closed.example', 'closed.example', 1),"  \
    " ('of-nobody.example', 'gone.example', 1), ('of-backup.example', 'backup.example', 1),"       \
    " ('of-alias.example', 'alias.example', 1), ('both.example', 'hosted.example', 1);"

static struct database_config vmail;
static struct config config;
static struct databases databases;
static struct directory directory;

static const char *listed[] = {"Listed.Example", "second.example"};

static void open_directory(int64_t ttl)
{
    vmail = (struct database_config){
        .name = "vmail", .driver = "sqlite", .path = file, .pool_size = 1, .configured = true};
    config = (struct config){.databases = &vmail,
                             .databases_length = 1,
                             .local_domains = {2, listed},
                             .request_timeout = 20,
                             .recipient_delimiters = "+"};
    databases_open(&databases, &config);
    directory = (struct directory){&config, &databases, db_cache_new(ttl)};
}

static void close_directory(void)
{
    db_cache_free(directory.cache);
    databases_close(&databases);
}

static struct found {
    enum postern_lookup lookup;
    enum postern_domain_kind kind;
    char target[64];
    struct postern_error error;
} found;

static enum postern_lookup look(const char *domain)
{
    struct postern_arena *arena = arena_new();
    struct postern_domain answer;
    found = (struct found){0};
    found.lookup =
        directory_domain(&directory, domain, arena, fiber_now() + 10, &answer, &found.error);
    if (found.lookup == POSTERN_FOUND) {
        found.kind = answer.kind;
        snprintf(found.target, sizeof found.target, "%s", answer.target);
    }
    arena_free(arena);
    return found.lookup;
}

static void in_directory(void (*body)(void *arg), const char *sql)
{
    file_make(sql);
    in_fiber(body, NULL);
    file_remove();
}

static void look_at_listed(void *arg)
{
    (void)arg;
    open_directory(0);
    assert_int_equal(look("listed.example"), POSTERN_FOUND);
    assert_int_equal(found.kind, POSTERN_DOMAIN_LOCAL);
    assert_string_equal(found.target, "");
    assert_int_equal(look("second.example"), POSTERN_FOUND);
    assert_int_equal(look("sub.second.example"), POSTERN_FAILED);
    close_directory();
}

static void listed_domain_is_local_without_asking_the_database(void **state)
{
    (void)state;
    in_directory(look_at_listed, "CREATE TABLE unrelated (x INTEGER)");
}

static void look_unconfigured(void *arg)
{
    (void)arg;
    open_directory(0);
    vmail.configured = false;
    assert_int_equal(look("hosted.example"), POSTERN_NOT_FOUND);
    close_directory();
}

static void vmail_that_is_not_configured_is_not_asked(void **state)
{
    (void)state;
    in_directory(look_unconfigured, TABLES ROWS);
}

static void look_at_kinds(void *arg)
{
    (void)arg;
    open_directory(0);
    assert_int_equal(look("hosted.example"), POSTERN_FOUND);
    assert_int_equal(found.kind, POSTERN_DOMAIN_LOCAL);
    assert_string_equal(found.target, "");
    assert_int_equal(look("backup.example"), POSTERN_FOUND);
    assert_int_equal(found.kind, POSTERN_DOMAIN_BACKUP_MX);
    assert_int_equal(look("alias.example"), POSTERN_FOUND);
    assert_int_equal(found.kind, POSTERN_DOMAIN_ALIAS);
    assert_string_equal(found.target, "hosted.example");
    assert_int_equal(look("of-backup.example"), POSTERN_FOUND);
    assert_int_equal(found.kind, POSTERN_DOMAIN_BACKUP_MX);
    assert_int_equal(look("both.example"), POSTERN_FOUND);
    assert_int_equal(found.kind, POSTERN_DOMAIN_LOCAL);
    close_directory();
}

static void hosted_domains_have_a_kind(void **state)
{
    (void)state;
    in_directory(look_at_kinds, TABLES ROWS);
}

static void look_at_others(void *arg)
{
    (void)arg;
    static const char *const others[] = {
        "closed.example",   "switched-off.example", "of-closed.example",  "of-nobody.example",
        "of-alias.example", "elsewhere.example",    "sub.hosted.example", "example"};
    open_directory(0);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (look(others[i]) != POSTERN_NOT_FOUND)
            fail_msg("%s is hosted", others[i]);
    close_directory();
}

static void inactive_and_foreign_domains_are_not_hosted(void **state)
{
    (void)state;
    in_directory(look_at_others, TABLES ROWS);
}

static void look_at_nonsense(void *arg)
{
    (void)arg;
    static const char *const nonsense[] = {"",   "@hosted.example", "user@hosted.example", ".",
                                           ".a", "[192.0.2.1]",     "hosted example",      "\xff"};
    open_directory(0);
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++)
        if (look(nonsense[i]) != POSTERN_NOT_FOUND)
            fail_msg("`%s` was asked for", nonsense[i]);
    close_directory();
}

static void what_is_no_domain_is_not_found_without_being_asked(void **state)
{
    (void)state;
    in_directory(look_at_nonsense, "CREATE TABLE unrelated (x INTEGER)");
}

static void look_without_tables(void *arg)
{
    (void)arg;
    open_directory(60);
    assert_int_equal(look("hosted.example"), POSTERN_FAILED);
    assert_non_null(strstr(found.error.text, "mail for hosted.example is received here"));
    assert_non_null(strstr(found.error.text, "database vmail"));
    assert_non_null(strstr(found.error.text, "no such table"));
    file_make(TABLES ROWS);
    assert_int_equal(look("hosted.example"), POSTERN_FOUND);
    close_directory();
}

static void missing_tables_are_a_failure_that_says_so_and_is_not_remembered(void **state)
{
    (void)state;
    in_directory(look_without_tables, "CREATE TABLE unrelated (x INTEGER)");
}

static void look_twice(void *arg)
{
    (void)arg;
    open_directory(60);
    assert_int_equal(look("hosted.example"), POSTERN_FOUND);
    assert_int_equal(look("alias.example"), POSTERN_FOUND);
    assert_int_equal(look("new.example"), POSTERN_NOT_FOUND);
    file_make("DELETE FROM domain; INSERT INTO domain VALUES ('new.example', 0, 1)");
    assert_int_equal(look("hosted.example"), POSTERN_FOUND);
    assert_int_equal(look("alias.example"), POSTERN_FOUND);
    assert_string_equal(found.target, "hosted.example");
    assert_int_equal(look("new.example"), POSTERN_NOT_FOUND);
    db_cache_free(directory.cache);
    directory.cache = NULL;
    assert_int_equal(look("hosted.example"), POSTERN_NOT_FOUND);
    assert_int_equal(look("new.example"), POSTERN_FOUND);
    close_directory();
}

static void both_answers_are_remembered(void **state)
{
    (void)state;
    in_directory(look_twice, TABLES ROWS);
}

static struct postern_request *request_new(struct request_work *work)
{
    struct postern_request *request = protocol_request_new();
    request_derive(request, &config);
    *work =
        (struct request_work){.config = &config, .databases = &databases, .cache = directory.cache};
    request->work = work;
    return request;
}

static void find_for_a_request(void *arg)
{
    (void)arg;
    open_directory(0);
    struct request_work work;
    struct postern_request *request = request_new(&work);
    struct postern_domain domain;
    assert_int_equal(postern_domain_find(request, "alias.example", &domain), POSTERN_FOUND);
    assert_string_equal(domain.target, "hosted.example");
    assert_int_equal(postern_domain_find(request, "", &domain), POSTERN_NOT_FOUND);
    assert_null(work.verdict.failure);
    file_make("DROP TABLE alias_domain");
    assert_int_equal(postern_domain_find(request, "alias.example", &domain), POSTERN_FAILED);
    assert_non_null(work.verdict.failure);
    assert_non_null(strstr(work.verdict.failure, "alias_domain"));
    arena_free(request->arena);
    close_directory();
}

static void request_is_told_of_a_failure(void **state)
{
    (void)state;
    in_directory(find_for_a_request, TABLES ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listed_domain_is_local_without_asking_the_database),
        cmocka_unit_test(vmail_that_is_not_configured_is_not_asked),
        cmocka_unit_test(hosted_domains_have_a_kind),
        cmocka_unit_test(inactive_and_foreign_domains_are_not_hosted),
        cmocka_unit_test(what_is_no_domain_is_not_found_without_being_asked),
        cmocka_unit_test(missing_tables_are_a_failure_that_says_so_and_is_not_remembered),
        cmocka_unit_test(both_answers_are_remembered),
        cmocka_unit_test(request_is_told_of_a_failure),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
