#include "db/schema.h"
#include "sqlite_file.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct db *db;
static struct postern_error error;

static double soon(void)
{
    return fiber_now() + 10;
}

static const char *own_user(void)
{
    return getpwuid(geteuid())->pw_name;
}

static const char *own_group(void)
{
    return getgrgid(getegid())->gr_name;
}

static void create(void)
{
    if (!schema_create_database(&file_config, own_user(), own_group(), &error))
        fail_msg("%s", error.text);
}

static enum schema_state state_now(void)
{
    struct schema_status status = schema_check(db, &file_config, soon());
    error = status.error;
    return status.state;
}

static int newest(void)
{
    return schema_check(db, &file_config, soon()).newest;
}

static int migrate(void)
{
    int applied;
    if (!schema_migrate(db, &file_config, soon(), &applied, &error))
        fail_msg("%s", error.text);
    return applied;
}

static void from_nothing(void *arg)
{
    (void)arg;
    db = db_new(&file_config);
    assert_int_equal(state_now(), SCHEMA_EMPTY);
    assert_non_null(strstr(error.text, "posternctl db init"));
    create();
    assert_int_equal(state_now(), SCHEMA_EMPTY);
    assert_non_null(strstr(error.text, "posternctl db init"));
    struct schema_status status = schema_check(db, &file_config, soon());
    assert_int_equal(status.version, 0);
    assert_int_equal(migrate(), status.newest);
    assert_int_equal(state_now(), SCHEMA_READY);
    assert_int_equal(migrate(), 0);
    assert_int_equal(state_now(), SCHEMA_READY);
    db_free(db);
}

static void database_is_made_from_nothing_and_a_second_migration_does_nothing(void **state)
{
    (void)state;
    in_fiber(from_nothing, NULL);
}

/* Three logical databases in the one file. */
static void migrate_all(void)
{
    static const char *const names[] = {"vmail", "amavisd", "iredapd"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct database_config config = file_config;
        int applied;
        config.name = names[i];
        struct db *own = db_new(&config);
        assert_int_equal(schema_check(own, &config, soon()).state, SCHEMA_EMPTY);
        assert_true(schema_migrate(own, &config, soon(), &applied, &error));
        struct schema_status status = schema_check(own, &config, soon());
        assert_int_equal(status.state, SCHEMA_READY);
        assert_int_equal(applied, status.newest);
        db_free(own);
    }
}

#define COUNT(table) "SELECT count(*) FROM " table

static void use_tables(void *arg)
{
    (void)arg;
    static const char *const counts[] = {
        COUNT("greylisting"),
        COUNT("greylisting_whitelists"),
        COUNT("greylisting_whitelist_domain_spf"),
        COUNT("greylisting_whitelist_domains"),
        COUNT("greylisting_tracking"),
        COUNT("throttle"),
        COUNT("throttle_tracking"),
        COUNT("wblist_rdns"),
        COUNT("srs_exclude_domains"),
        COUNT("senderscore_cache"),
        COUNT("smtp_sessions"),
        COUNT("domain"),
        COUNT("alias_domain"),
        COUNT("mailbox"),
        COUNT("alias"),
        COUNT("maillists"),
        COUNT("forwardings"),
        COUNT("moderators"),
        COUNT("maillist_owners"),
        COUNT("users"),
        COUNT("mailaddr"),
        COUNT("wblist"),
        COUNT("outbound_wblist"),
    };
    create();
    migrate_all();
    db = db_new(&file_config);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        assert_int_equal(ask_integer(db, counts[i]), 0);
    ask_integer(db, "INSERT INTO throttle (account, kind, period) VALUES ('@.', 'inbound', 60) "
                    "RETURNING id");
    ask_integer(db, "INSERT INTO throttle (account, kind, period) VALUES ('@.', 'inbound', 90) "
                    "RETURNING id");
    assert_int_equal(ask_integer(db, "SELECT max(shared) FROM throttle"), 0);
    ask_integer(db, "INSERT INTO throttle_tracking (tid, account) VALUES (1, 'a') RETURNING id");
    ask_integer(db, "DELETE FROM throttle WHERE id = 1 RETURNING id");
    assert_int_equal(ask_integer(db, "SELECT count(*) FROM throttle_tracking"), 0);
    db_free(db);
}

static void all_tables_are_there_and_counters_go_with_their_throttle(void **state)
{
    (void)state;
    in_fiber(use_tables, NULL);
}

static int applied_here, applied_by_all;

static void migrate_alone(void *arg)
{
    (void)arg;
    db = db_new(&file_config);
    applied_here = migrate();
    applied_by_all = newest();
    assert_int_equal(state_now(), SCHEMA_READY);
    db_free(db);
}

static void two_processes_that_migrate_at_once_both_succeed(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        create();
        int ready[2];
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
            char byte;
            close(ready[1]);
            (void)!read(ready[0], &byte, 1);
            in_fiber(migrate_alone, NULL);
            _exit(applied_here);
        }
        close(ready[0]);
        close(ready[1]);
        in_fiber(migrate_alone, NULL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status) + applied_here, applied_by_all);
        file_remove();
    }
}

static void meet_other_versions(void *arg)
{
    (void)arg;
    create();
    db = db_new(&file_config);
    migrate();
    assert_true(db_script(db, "DELETE FROM postern_schema", soon(), &error));
    assert_int_equal(state_now(), SCHEMA_OLD);
    assert_non_null(strstr(error.text, "posternctl db migrate"));
    assert_int_equal(migrate(), newest());
    const char *later = "INSERT INTO postern_schema VALUES ('iredapd', 999, 0)";
    assert_true(db_script(db, later, soon(), &error));
    assert_int_equal(state_now(), SCHEMA_NEWER);
    assert_non_null(strstr(error.text, "999"));
    int applied;
    assert_false(schema_migrate(db, &file_config, soon(), &applied, &error));
    assert_non_null(strstr(error.text, "newer"));
    db_free(db);
}

static void older_version_is_migrated_and_a_newer_refused(void **state)
{
    (void)state;
    in_fiber(meet_other_versions, NULL);
}

static void meet_lacking_tables(void *arg)
{
    (void)arg;
    create();
    db = db_new(&file_config);
    migrate();
    assert_true(db_script(db, "DELETE FROM postern_schema; DROP TABLE greylisting_whitelists",
                          soon(), &error));
    assert_int_equal(state_now(), SCHEMA_INCOMPLETE);
    assert_non_null(strstr(error.text, "greylisting_whitelists"));
    assert_non_null(strstr(error.text, "posternctl db migrate"));
    assert_int_equal(migrate(), newest());
    assert_int_equal(state_now(), SCHEMA_READY);
    assert_true(db_script(db,
                          "DELETE FROM postern_schema; DROP TABLE greylisting;"
                          "CREATE TABLE greylisting (account, sender)",
                          soon(), &error));
    assert_int_equal(state_now(), SCHEMA_INCOMPLETE);
    assert_non_null(strstr(error.text, "a unique key of greylisting (account,sender)"));
    db_free(db);
}

static void what_an_old_database_lacks_is_named_and_migrated(void **state)
{
    (void)state;
    in_fiber(meet_lacking_tables, NULL);
}

static void meet_lost_table(void *arg)
{
    (void)arg;
    create();
    db = db_new(&file_config);
    migrate();
    assert_true(db_script(db, "DROP TABLE greylisting", soon(), &error));
    assert_int_equal(state_now(), SCHEMA_UNUSABLE);
    assert_non_null(strstr(error.text, "restore"));
    db_free(db);
}

static void table_lost_after_migration_is_to_be_restored(void **state)
{
    (void)state;
    in_fiber(meet_lost_table, NULL);
}

static void meet_broken_migration(void *arg)
{
    (void)arg;
    create();
    db = db_new(&file_config);
    assert_true(
        db_script(db, "CREATE TABLE smtp_sessions (x); CREATE TABLE kept (x);", soon(), &error));
    int applied;
    assert_false(schema_migrate(db, &file_config, soon(), &applied, &error));
    assert_non_null(strstr(error.text, "iredapd/001_tables"));
    assert_int_equal(applied, 0);
    assert_int_equal(ask_integer(db, "SELECT count(*) FROM sqlite_master WHERE type = 'table' "
                                     "AND name NOT LIKE 'sqlite%'"),
                     2);
    db_free(db);
}

static void failed_migration_leaves_nothing_behind(void **state)
{
    (void)state;
    in_fiber(meet_broken_migration, NULL);
}

static void check_as_nobody(void *expected)
{
    db = db_new(&file_config);
    assert_int_equal(state_now(), SCHEMA_UNUSABLE);
    assert_non_null(strstr(error.text, expected));
    assert_non_null(strstr(error.text, "user nobody"));
    db_free(db);
}

static void file_or_folder_without_rights_is_unusable_and_named(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    create();
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    in_fiber(check_as_nobody, file);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chown(file, 65534, 65534), 0);
    assert_int_equal(seteuid(65534), 0);
    in_fiber(check_as_nobody, folder);
    assert_int_equal(seteuid(0), 0);
}

static void check_garbage(void *arg)
{
    (void)arg;
    db = db_new(&file_config);
    assert_int_equal(state_now(), SCHEMA_UNUSABLE);
    assert_non_null(strstr(error.text, "not an SQLite database"));
    db_free(db);
}

static void file_of_another_kind_is_unusable(void **state)
{
    (void)state;
    FILE *out = fopen(file, "w");
    for (int i = 0; i < 100; i++)
        fputs("this is not a database\n", out);
    fclose(out);
    in_fiber(check_garbage, NULL);
}

static void check_locked(void *arg)
{
    (void)arg;
    db = db_new(&file_config);
    struct schema_status status = schema_check(db, &file_config, fiber_now() + 0.05);
    assert_int_equal(status.state, SCHEMA_UNREACHABLE);
    db_free(db);
}

static void file_held_by_another_may_be_ready(void **state)
{
    (void)state;
    create();
    sqlite3 *other = file_open();
    file_exec(other, "PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE x (y)");
    in_fiber(check_locked, NULL);
    sqlite3_close(other);
}

static void file_is_made_for_its_owner_alone_and_never_twice(void **state)
{
    (void)state;
    struct stat before, after;
    struct database_config config = file_config;
    char deep[80], path[96];
    snprintf(deep, sizeof deep, "%s/deep", folder);
    snprintf(path, sizeof path, "%s/new.db", deep);
    config.path = path;
    assert_true(schema_create_database(&config, own_user(), own_group(), &error));
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(before.st_mode & 07777, 0640);
    assert_true(before.st_size > 0); /* its header says WAL */
    assert_true(schema_create_database(&config, own_user(), own_group(), &error));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_false(schema_create_database(&config, "no-such-user", own_group(), &error));
    assert_non_null(strstr(error.text, "no-such-user"));
    unlink(path);
    rmdir(deep);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(database_is_made_from_nothing_and_a_second_migration_does_nothing),
        TEST(all_tables_are_there_and_counters_go_with_their_throttle),
        TEST(two_processes_that_migrate_at_once_both_succeed),
        TEST(older_version_is_migrated_and_a_newer_refused),
        TEST(what_an_old_database_lacks_is_named_and_migrated),
        TEST(table_lost_after_migration_is_to_be_restored),
        TEST(failed_migration_leaves_nothing_behind),
        TEST(file_or_folder_without_rights_is_unusable_and_named),
        TEST(file_of_another_kind_is_unusable),
        TEST(file_held_by_another_may_be_ready),
        TEST(file_is_made_for_its_owner_alone_and_never_twice),
    };
    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
