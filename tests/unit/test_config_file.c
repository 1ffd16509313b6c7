#include "config_fixture.h"

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    char *errors;
    assert_null(config_load("/none/postern.conf", &hooks, &errors));
    assert_string_equal(errors, "cannot read /none/postern.conf: No such file or directory; give "
                                "another with -c FILE\n");
    free(errors);
    assert_null(config_load(directory, &hooks, &errors));
    assert_non_null(strstr(errors, "Is a directory"));
    free(errors);
    write_file("postern.conf", "user = \"a\0b\"", 12);
    assert_null(config_load(path, &hooks, &errors));
    assert_non_null(strstr(errors, "NUL byte"));
    free(errors);
}

static void unknown_keys_are_all_told_with_their_lines(void **state)
{
    (void)state;
    EXPECT_ERRORS("workerz = 3 # see\n"
                  "/* two\n lines */ log { // here\n lvel = \"info\" }\n\n"
                  "timeout = \"3s\"\n",
                  "1: workerz: no such option outside of sections; there are: user, group, ",
                  "4: log: no option `lvel`; it has: target, facility, level, ",
                  "6: timeout: no such option outside of sections");
}

static void bad_values_are_all_told_with_their_lines(void **state)
{
    (void)state;
    EXPECT_ERRORS(
        "workers = 1025\n"
        "max_connections = \"many\"\n"
        "request_timeout = \"0s\"\n"
        "drain_timeout = \"5 parsecs\"\n"
        "on_error = \"panic\"\n"
        "user = {\"a\", \"b\"}\n"
        "group = {}\n"
        "log { level = \"loud\"\n"
        "  facility = \"local8\" }\n"
        "session_log {\n"
        "  enabled = 2\n"
        "}\n"
        "cache_ttl = -1\n",
        "1: workers: expected 0 to 1024, not `1025`",
        "2: max_connections: expected a number, not `many`",
        "3: request_timeout: expected 1s to 1d, not `0s`",
        "4: drain_timeout: expected a duration like 30s, 15m, 12h or 30d, not `5 parsecs`",
        "5: on_error: expected \"dunno\" or \"defer\", not `panic`",
        "6: user: expected one text, not a list", "7: group: expected one text, not a list",
        "8: level: expected \"error\", \"warning\", \"info\" or \"debug\", not `loud`",
        "9: facility: expected \"kern\"", "11: enabled: expected true or false, not `2`",
        "13: cache_ttl: expected a duration");
}

static void syntax_mistakes_are_told_at_their_line(void **state)
{
    (void)state;
    EXPECT_ERRORS("user = \"a\"\nlog {\n level = \"info\"\n\n", "2: this { is never closed");
    EXPECT_ERRORS("user = \"a\"\ngroup = \"b\nworkers = 3\n", "2: this quoted text is never");
    EXPECT_ERRORS("\n/* a\nworkers = 3\n", "2: this /* is never closed");
    EXPECT_ERRORS("user = \"a\"\n}\n", "2: unexpected closing brace");
    EXPECT_ERRORS("\nuser \"a\"\n", "2: no such option 'user'");
    EXPECT_ERRORS("user = a\nuser b", "2: missing equal sign after option 'user'");
    EXPECT_ERRORS("# c\nuser =\n", "2: premature end of file");
    EXPECT_ERRORS("log \"title\" { }", "1: missing opening brace for section 'log'");
    EXPECT_ERRORS("database { }", "1: missing title for section 'database'");
    EXPECT_ERRORS("log = 3", "1: missing opening brace for section 'log'");
    EXPECT_ERRORS("user = \"\\999\"", "1: bad escape sequence '\\999'");
    EXPECT_ERRORS("user = ,\n", "1: unexpected token ','");
    EXPECT_ERRORS("log { }\nlog { }\n",
                  "2: log: expected one such section, the other is in line 1");
}

static void mistakes_before_a_syntax_mistake_are_told_too(void **state)
{
    (void)state;
    EXPECT_ERRORS("workers = x\nlog { level = 3 }\nuser b = 3", "1: workers: expected a number",
                  "2: level: expected", "3: no such option 'user'");
}

static void a_good_file_is_read_after_a_bad_one(void **state)
{
    (void)state;
    static const char *const bad[] = {"user = \"a", "user = 'a", "log {", "user = \"\\999\"",
                                      "/* a",       "user = {a", "# a",   "log { user = 'x\\"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *errors;
        config_free(load_text(bad[i], &errors));
        free(errors);
        struct config *config = load_good("# c\nuser = \"good\"");
        assert_string_equal(config->user, "good");
        config_free(config);
    }
}

static void strings_may_hold_what_is_syntax_elsewhere(void **state)
{
    (void)state;
    struct config *config = load_good("pid_file = \"/a # b // c = {\" user = 'it\\'s'\n"
                                      "group = \"say \\\"x\\\" }\" recipient_delimiters = '\"'\n"
                                      "ldap { uri = ldap://127.0.0.1 }");
    assert_string_equal(config->pid_file, "/a # b // c = {");
    assert_string_equal(config->user, "it's");
    assert_string_equal(config->group, "say \"x\" }");
    assert_string_equal(config->recipient_delimiters, "\"");
    assert_string_equal(config->ldap.uri, "ldap://127.0.0.1");
    config_free(config);
}

static void environment_variables_are_replaced(void **state)
{
    (void)state;
    setenv("POSTERN_TEST_USER", "somebody", 1);
    unsetenv("POSTERN_TEST_NONE");
    struct config *config = load_good("user = \"x-${POSTERN_TEST_USER}\"\n"
                                      "group = ${POSTERN_TEST_USER}\n"
                                      "pid_file = \"${POSTERN_TEST_NONE:-/a # \"b\"}\"");
    assert_string_equal(config->user, "x-somebody");
    assert_string_equal(config->group, "somebody");
    assert_string_equal(config->pid_file, "/a # \"b\"");
    config_free(config);
}

static void lists_may_be_added_to(void **state)
{
    (void)state;
    struct config *config = load_good("listen = {\"*:1\"}\nlisten += {\"*:2\", \"*:3\"}\n"
                                      "mynetworks = \"10.0.0.1\"\n"
                                      "notify { recipients = {a} recipients = {b} }");
    assert_int_equal(config->listen.count, 3);
    assert_string_equal(config->listen.items[2], "*:3");
    assert_int_equal(config->mynetworks_length, 1);
    assert_int_equal(config->notify.recipients.count, 1);
    assert_string_equal(config->notify.recipients.items[0], "b");
    config_free(config);
}

static void a_file_cut_anywhere_is_read_or_refused(void **state)
{
    (void)state;
    static const char text[] =
        "# c\nuser = \"a\\\"${HOME:-x}\" /* d\n */ listen = {\"*:1\", '*:2'}\n"
        "log { level = \"info\" // e\n } plugins = {greylisting}\n"
        "database \"vmail\" { driver = pgsql host = h port += 3 }\n"
        "plugin \"greylisting\" { block_expire = 15m skip = {a, # f\n b}\n"
        "shadow = true }\nsrs { secrets = {\"\\x41\\101\", ''} }\n";
    for (size_t length = 0; length < sizeof text; length++) {
        char *errors;
        write_file("postern.conf", text, length);
        struct config *config = config_load(path, &hooks, &errors);
        assert_true((config == NULL) == (errors != NULL));
        config_free(config);
        free(errors);
    }
}

static void a_file_with_any_byte_changed_is_read_or_refused(void **state)
{
    (void)state;
    static const char changes[] = "\"'{}=,#/*\\$\n|+ ";
    char text[] = "user = \"${A}\" # c\nlog { level = 'info' }\nplugins = {greylisting, b}\n"
                  "plugin \"greylisting\" { skip = {a} }\n";
    for (size_t at = 0; at < sizeof text - 1; at++) {
        char kept = text[at];
        for (const char *change = changes; *change != '\0'; change++) {
            char *errors;
            text[at] = *change;
            struct config *config = load_text(text, &errors);
            assert_true((config == NULL) == (errors != NULL));
            config_free(config);
            free(errors);
        }
        text[at] = kept;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(unknown_keys_are_all_told_with_their_lines),
        cmocka_unit_test(bad_values_are_all_told_with_their_lines),
        cmocka_unit_test(syntax_mistakes_are_told_at_their_line),
        cmocka_unit_test(mistakes_before_a_syntax_mistake_are_told_too),
        cmocka_unit_test(a_good_file_is_read_after_a_bad_one),
        cmocka_unit_test(strings_may_hold_what_is_syntax_elsewhere),
        cmocka_unit_test(environment_variables_are_replaced),
        cmocka_unit_test(lists_may_be_added_to),
        cmocka_unit_test(a_file_cut_anywhere_is_read_or_refused),
        cmocka_unit_test(a_file_with_any_byte_changed_is_read_or_refused),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
