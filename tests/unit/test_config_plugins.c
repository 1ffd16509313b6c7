#include "config_fixture.h"

static void plugins_keep_their_order_and_defaults(void **state)
{
    (void)state;
    struct config *config = load_good("plugins = {\"greylisting\", \"reject_null_sender\"}");
    assert_int_equal(config->plugins_length, 2);
    assert_ptr_equal(config->plugins[0].plugin, &greylisting);
    assert_ptr_equal(config->plugins[1].plugin, &null_sender);
    assert_int_equal(config->plugins[0].priority, 80);
    assert_false(config->plugins[0].shadow);
    assert_null(config->plugins[1].options);
    const struct grey_options *options = config->plugins[0].options;
    assert_false(options->training_mode);
    assert_int_equal(options->ipv4_prefix, 32);
    assert_int_equal(options->block_expire, 900);
    assert_int_equal(options->quota, 5 << 20);
    assert_string_equal(options->message, "come again");
    assert_int_equal(options->header, 0);
    assert_int_equal(options->skip.count, 2);
    assert_string_equal(options->skip.items[1], "b.example");
    config_free(config);
}

static void plugin_options_of_every_type_are_taken(void **state)
{
    (void)state;
    struct config *config =
        load_good("plugins = {\"old_greylisting\"}\n"
                  "plugin \"greylisting\" { shadow = true priority = -5 training_mode = true\n"
                  "  ipv4_prefix = 24 block_expire = 1h quota = \"1GB\" message = \"no\"\n"
                  "  header = \"both\" skip = {\"x\"} }");
    assert_int_equal(config->plugins_length, 1);
    assert_true(config->plugins[0].shadow);
    assert_int_equal(config->plugins[0].priority, -5);
    const struct grey_options *options = config->plugins[0].options;
    assert_true(options->training_mode);
    assert_int_equal(options->ipv4_prefix, 24);
    assert_int_equal(options->block_expire, 3600);
    assert_int_equal(options->quota, 1 << 30);
    assert_string_equal(options->message, "no");
    assert_int_equal(options->header, 2);
    assert_int_equal(options->skip.count, 1);
    config_free(config);
}

static void plugin_whose_database_is_not_configured_is_told(void **state)
{
    (void)state;
    config_free(load_good("plugins = {\"wblist\"}"));
    config_free(load_good("plugins = {\"wblist\"}\n"
                          "database \"iredapd\" { driver = \"pgsql\" }\n"
                          "database \"amavisd\" { driver = \"pgsql\" }"));
    EXPECT_ERRORS("\nplugins = {\"wblist\"}\ndatabase \"iredapd\" { driver = \"pgsql\" }",
                  "2: wblist: expected a section database \"amavisd\", whose tables it asks");
}

static void plugin_mistakes_are_told(void **state)
{
    (void)state;
    EXPECT_ERRORS("plugin_dir = \"/d\"\n"
                  "plugins = {\"greylisting\",\n \"none\",\n \"old_greylisting\"}\n"
                  "plugin \"other\" {\n a = 3 }\n"
                  "plugin \"greylisting\" {\n blok_expire = 3\n ipv4_prefix = 33\n"
                  " quota = {\"1\", \"2\"}\n shadow = maybe }\n"
                  "plugin \"old_greylisting\" { }\n",
                  "3: none: cannot load /d/none.so",
                  "4: plugins: expected each plugin once, `greylisting` is there twice",
                  "5: other: cannot load /d/other.so",
                  "8: greylisting: no option `blok_expire`; it has: training_mode, ipv4_prefix, "
                  "block_expire, quota, message, header, skip, shadow, priority",
                  "9: ipv4_prefix: expected 8 to 32, not `33`",
                  "10: quota: expected a size like 10KB, 5MB or 1GB, not a list",
                  "11: shadow: expected true or false, not `maybe`",
                  "12: plugin: expected one section for `greylisting`, the other is in line 7");
    EXPECT_ERRORS("plugin \"reject_null_sender\" { x = 1 }",
                  "1: reject_null_sender: no option `x`; it has: shadow, priority");
}

static void a_plugin_that_is_not_listed_is_checked_and_not_run(void **state)
{
    (void)state;
    EXPECT_ERRORS("\nplugin \"greylisting\" { quota = x }", "2: quota: expected a size");
    struct config *config = load_good("plugins = {\"reject_null_sender\"}\n"
                                      "plugin \"greylisting\" { quota = 1 }");
    assert_int_equal(config->plugins_length, 1);
    assert_ptr_equal(config->plugins[0].plugin, &null_sender);
    config_free(config);
}

static void a_plugins_own_check_is_told_at_its_section(void **state)
{
    (void)state;
    EXPECT_ERRORS("plugins = {\"greylisting\"}\n\nplugin \"greylisting\"\n{\n\n"
                  " block_expire = \"2d\"\n}\n",
                  "4: greylisting: block_expire must be shorter than a day");
}

static void a_malformed_option_table_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct postern_option option;
        const char *expected;
    } cases[] = {
        {{.name = "x", .type = 99, .fallback = ""}, "its type is unknown"},
        {{.name = "x", .type = POSTERN_OPTION_INTEGER, .offset = 8, .fallback = "0"},
         "its field is outside"},
        {{.name = "x", .type = POSTERN_OPTION_BOOL, .offset = SIZE_MAX, .fallback = "no"},
         "its field is outside"},
        {{.name = "x", .type = POSTERN_OPTION_CHOICE, .offset = 2, .fallback = "a"},
         "its field is not aligned"},
        {{.name = "x", .type = POSTERN_OPTION_BOOL}, "it has no default"},
        {{.name = "x", .type = POSTERN_OPTION_CHOICE, .fallback = "a"}, "it has no choices"},
        {{.name = "x", .type = POSTERN_OPTION_DURATION, .fallback = "soon"},
         "expected a duration like 30s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct postern_option table[] = {cases[i].option, POSTERN_OPTIONS_END};
        broken.options = table;
        broken.options_size = 8;
        char expected[128];
        snprintf(expected, sizeof expected,
                 "1: broken: the module broken declares the option x wrongly: %s",
                 cases[i].expected);
        EXPECT_ERRORS("plugins = {broken}", expected);
        broken.options = NULL;
    }
    struct postern_option own[] = {
        {.name = "shadow", .type = POSTERN_OPTION_BOOL, .fallback = "no"}, POSTERN_OPTIONS_END};
    broken.options = own;
    EXPECT_ERRORS("plugins = {broken}", "1: broken: the module declares the option shadow");
    broken.options = NULL;
}

static void modules_are_unloaded_once_per_config(void **state)
{
    (void)state;
    loads = unloads = 0;
    config_free(load_good("plugins = {\"greylisting\", \"reject_null_sender\"}"));
    assert_int_equal(loads, 1);
    assert_int_equal(unloads, 1);
    EXPECT_ERRORS("plugins = {\"greylisting\", \"none\"}", "1: none: cannot load");
    assert_int_equal(loads, 2);
    assert_int_equal(unloads, 2);
    config_free(NULL);
}

static void options_are_written_as_they_would_be_configured(void **state)
{
    (void)state;
    struct config *config = load_good("plugins = {\"greylisting\"}\n"
                                      "plugin \"greylisting\" { message = \"a \\\"b\\\"\" }");
    static const char *const expected[] = {
        "false",
        "32",
        "15m",
        "5MB",
        "\"a \\\"b\\\"\"",
        "\"none\"",
        "{\"a.example\", \"b.example\"}",
    };
    struct buffer text = {0};
    for (size_t i = 0; grey_table[i].name != NULL; i++) {
        buffer_clear(&text);
        option_text(&grey_table[i], config->plugins[0].options, &text);
        assert_string_equal(text.data, expected[i]);
    }
    buffer_free(&text);
    config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plugins_keep_their_order_and_defaults),
        cmocka_unit_test(plugin_options_of_every_type_are_taken),
        cmocka_unit_test(plugin_whose_database_is_not_configured_is_told),
        cmocka_unit_test(plugin_mistakes_are_told),
        cmocka_unit_test(a_plugin_that_is_not_listed_is_checked_and_not_run),
        cmocka_unit_test(a_plugins_own_check_is_told_at_its_section),
        cmocka_unit_test(a_malformed_option_table_is_refused),
        cmocka_unit_test(modules_are_unloaded_once_per_config),
        cmocka_unit_test(options_are_written_as_they_would_be_configured),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
