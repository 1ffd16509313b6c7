#include "config_fixture.h"

#include <syslog.h>

/* A build without libcrypto refuses it. */
#if HAVE_CRYPTO
#define SRS_DOMAIN "domain = \"s.example\""
#else
#define SRS_DOMAIN ""
#endif

#define SAMPLE POSTERN_SOURCE_ROOT "/etc/postern.conf"

static void an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    struct config *config = load_good("");
    assert_string_equal(config->path, path);
    assert_string_equal(config->user, "postern");
    assert_int_equal(config->workers, sysconf(_SC_NPROCESSORS_ONLN));
    assert_int_equal(config->listen.count, 1);
    assert_string_equal(config->listen.items[0], "127.0.0.1:7777");
    assert_int_equal(config->request_timeout, 20);
    assert_int_equal(config->drain_timeout, 30);
    assert_int_equal(config->on_error, ON_ERROR_DUNNO);
    assert_int_equal(config->mynetworks_length, 0);
    assert_string_equal(config->recipient_delimiters, "+");
    assert_int_equal(config->max_connections, 4096);
    assert_int_equal(config->cache_ttl, 5);
    assert_int_equal(config->cleanup_batch, 1000);
    assert_int_equal(config->log.target, LOG_TARGET_SYSLOG);
    assert_int_equal(config->log.facility, LOG_LOCAL5);
    assert_int_equal(config->log.level, LOG_LEVEL_INFO);
    assert_int_equal(config->log.format, LOG_FORMAT_TEXT);
    assert_string_equal(config->log.syslog_socket, "/dev/log");
    assert_string_equal(config->metrics_listen, "127.0.0.1:7780");
    assert_int_equal(config->dns_servers.count, 0);
    assert_int_equal(config->dns_timeout, 3);
    assert_int_equal(config->directory, DIRECTORY_NONE);
    assert_string_equal(config->ldap.uri, "ldap://127.0.0.1:389");
    assert_false(config->ldap.starttls);
    assert_string_equal(config->srs.domain, "");
    assert_string_equal(config->srs.listen_reverse, "127.0.0.1:7779");
    assert_string_equal(config->notify.recipients.items[0], "root");
    assert_true(config->session_log.enabled);
    assert_int_equal(config->session_log.expire, 7 * 86400);
    assert_int_equal(config->plugins_length, 0);
    config_free(config);
}

static void every_key_is_taken(void **state)
{
    (void)state;
    struct config *config = load_good(
        "user = \"u\" group = g workers = 3 listen = {\"[::1]:1\", \"unix:/s\", \"*:65535\"}\n"
        "pid_file = \"/p\" plugin_dir = \"/d\" request_timeout = 1m drain_timeout = \"2m\"\n"
        "on_error = \"defer\" mynetworks = {\"192.0.2.0/24\", \"10.*\", \"2001:db8::1\"}\n"
        "recipient_delimiters = \"+-\" max_connections = 7 cache_ttl = 0 cleanup_batch = 9\n"
        "log { target = \"stderr\" facility = \"mail\" level = \"debug\" format = \"json\"\n"
        "      syslog_socket = \"/l\" }\n"
        "metrics { listen = \"\" } dns { servers = {\"::1\", \"127.0.0.1:53\"} timeout = \"9s\" }\n"
        "directory { backend = \"ldap\" local_domains = {\"a\", \"b\"} }\n"
        "ldap { uri = \"ldaps://h\" base_dn = \"b\" bind_dn = \"d\" bind_password = \"p\"\n"
        "       starttls = true }\n"
        "srs { " SRS_DOMAIN " secrets = {\"x\", \"y\"} listen_forward = \"*:1\"\n"
        "      listen_reverse = \"\" listen_socketmap = \"unix:/m\" }\n"
        "notify { recipients = {} sendmail = \"/m\" smtp_url = \"\" }\n"
        "session_log { enabled = false expire = \"1d\" bypass_dunno = yes\n"
        "              bypass_greylisting = on bypass_whitelist = true }\n");
    assert_string_equal(config->group, "g");
    assert_int_equal(config->workers, 3);
    assert_int_equal(config->listen.count, 3);
    assert_string_equal(config->plugin_dir, "/d");
    assert_int_equal(config->request_timeout, 60);
    assert_int_equal(config->drain_timeout, 120);
    assert_int_equal(config->on_error, ON_ERROR_DEFER);
    assert_int_equal(config->mynetworks_length, 3);
    assert_int_equal(config->mynetworks[1].prefix, 8);
    assert_int_equal(config->mynetworks[2].address.family, POSTERN_IPV6);
    assert_int_equal(config->max_connections, 7);
    assert_int_equal(config->cache_ttl, 0);
    assert_int_equal(config->cleanup_batch, 9);
    assert_int_equal(config->log.target, LOG_TARGET_STDERR);
    assert_int_equal(config->log.facility, LOG_MAIL);
    assert_int_equal(config->log.level, LOG_LEVEL_DEBUG);
    assert_int_equal(config->log.format, LOG_FORMAT_JSON);
    assert_string_equal(config->metrics_listen, "");
    assert_int_equal(config->dns_servers.count, 2);
    assert_int_equal(config->directory, DIRECTORY_LDAP);
    assert_int_equal(config->local_domains.count, 2);
    assert_string_equal(config->ldap.bind_password, "p");
    assert_true(config->ldap.starttls);
    assert_int_equal(config->srs.secrets.count, 2);
    assert_string_equal(config->srs.listen_socketmap, "unix:/m");
    assert_int_equal(config->notify.recipients.count, 0);
    assert_false(config->session_log.enabled);
    assert_true(config->session_log.bypass_dunno);
    assert_true(config->session_log.bypass_whitelist);
    config_free(config);
}

static void databases_that_are_missing_are_the_embedded_file(void **state)
{
    (void)state;
    struct config *config = load_good("");
    assert_int_equal(config->databases_length, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(config->databases[i].driver, "sqlite");
        assert_string_equal(config->databases[i].path, CONFIG_DEFAULT_DATABASE);
    }
    assert_null(config_database(config, "other"));
    config_free(config);

    config = load_good("database \"iredapd\" { path = \"/x.db\" }");
    assert_string_equal(config_database(config, "iredapd")->path, "/x.db");
    assert_string_equal(config_database(config, "vmail")->path, "/x.db");
    assert_string_equal(config_database(config, "amavisd")->path, "/x.db");
    config_free(config);
}

static void a_database_is_configured_in_part(void **state)
{
    (void)state;
    struct config *config =
        load_good("database \"vmail\" { driver = \"pgsql\" password = \"p\" tls = \"verify\" }\n"
                  "database \"amavisd\" { driver = \"mysql\" host = \"/run/m.sock\" port = 3307\n"
                  "  name = \"n\" user = \"u\" pool_size = 9 }");
    const struct database_config *vmail = config_database(config, "vmail");
    assert_string_equal(vmail->driver, "pgsql");
    assert_string_equal(vmail->host, "127.0.0.1");
    assert_int_equal(vmail->port, 0);
    assert_string_equal(vmail->dbname, "vmail");
    assert_string_equal(vmail->user, "vmail");
    assert_string_equal(vmail->password, "p");
    assert_int_equal(vmail->pool_size, 4);
    assert_int_equal(vmail->tls, TLS_VERIFY);
    const struct database_config *amavisd = config_database(config, "amavisd");
    assert_string_equal(amavisd->host, "/run/m.sock");
    assert_int_equal(amavisd->port, 3307);
    assert_string_equal(amavisd->dbname, "n");
    assert_string_equal(amavisd->user, "u");
    assert_int_equal(amavisd->pool_size, 9);
    assert_int_equal(amavisd->tls, TLS_PREFER);
    assert_string_equal(config_database(config, "iredapd")->path, CONFIG_DEFAULT_DATABASE);
    config_free(config);
}

static void database_mistakes_are_told(void **state)
{
    (void)state;
    EXPECT_ERRORS("database \"mail\" { }\n"
                  "database \"vmail\" {\n driver = \"oracle\"\n }",
                  "1: database: expected \"iredapd\", \"vmail\" or \"amavisd\", not `mail`",
                  "3: driver: expected \"sqlite\", \"pgsql\" or \"mysql\", not `oracle`");
    EXPECT_ERRORS("database \"vmail\" { host = \"h\" }\n"
                  "database \"iredapd\" { driver = \"pgsql\"\n path = \"/x\" }",
                  "1: host: expected only with driver", "3: path: expected only with driver");
    EXPECT_ERRORS("database \"vmail\" { }\ndatabase \"vmail\" { }",
                  "2: found duplicate title 'vmail'");
    EXPECT_ERRORS("database \"vmail\" {\n\n pool = 3 pool_size = 0 port = 65536 }",
                  "3: database: no option `pool`; it has: driver, path, ",
                  "3: pool_size: expected 1 to 1000, not `0`",
                  "3: port: expected 0 to 65535, not `65536`");
}

static void secrets_are_read_from_files_without_line_ends(void **state)
{
    (void)state;
    write_file("pw", "p w \n", 5);
    write_file("srs", "one\r\n\ntwo\n", 10);
    char text[512];
    snprintf(text, sizeof text,
             "database \"vmail\" { driver = \"pgsql\" password_file = \"%s/pw\" }\n"
             "ldap { bind_password_file = \"%s/pw\" }\n"
             "srs { " SRS_DOMAIN " secrets = {\"zero\"} secrets_file = \"%s/srs\" }",
             directory, directory, directory);
    struct config *config = load_good(text);
    assert_string_equal(config_database(config, "vmail")->password, "p w ");
    assert_string_equal(config->ldap.bind_password, "p w ");
    assert_int_equal(config->srs.secrets.count, 3);
    assert_string_equal(config->srs.secrets.items[0], "zero");
    assert_string_equal(config->srs.secrets.items[1], "one");
    assert_string_equal(config->srs.secrets.items[2], "two");
    config_free(config);
}

static void secrets_that_cannot_be_used_are_told(void **state)
{
    (void)state;
    static char big[65537];
    memset(big, 'x', sizeof big);
    write_file("big", big, sizeof big);
    write_file("empty", "\n", 1);
    char text[1024];
    snprintf(text, sizeof text,
             "ldap {\n bind_password_file = \"/none\"\n }\n"
             "srs { secrets_file = \"%s/empty\" }\n"
             "database \"vmail\" { driver = \"pgsql\" password_file = \"%s/big\" }\n"
             "database \"iredapd\" { driver = \"pgsql\" password = \"p\"\n"
             "  password_file = \"/none\" }\n",
             directory, directory);
    char empty[128], large[128];
    snprintf(empty, sizeof empty, "4: secrets_file: cannot read %s/empty: it is empty", directory);
    snprintf(large, sizeof large, "5: password_file: cannot read %s/big: File too large",
             directory);
    EXPECT_ERRORS(text, "2: bind_password_file: cannot read /none: No such file or directory",
                  empty, large,
                  "7: password_file: expected only one of password and password_file");
    EXPECT_ERRORS("srs { secrets = {\"a\", \"\"} }", "1: secrets: expected secrets that are not");
}

static void srs_domain_that_is_none_is_refused(void **state)
{
    (void)state;
    EXPECT_ERRORS("srs { domain = \"a@b\" secrets = {\"s\"} }", "1: domain: expected a domain");
    EXPECT_ERRORS("srs { domain = \".b\" secrets = {\"s\"} }", "1: domain: expected a domain");
    EXPECT_ERRORS("srs { domain = \"[192.0.2.1]\" secrets = {\"s\"} }",
                  "1: domain: expected a domain");
}

#if HAVE_CURL

static void smtp_url_is_taken_with_its_password(void **state)
{
    (void)state;
    char text[256];
    write_file("pw", "p w\n", 4);
    snprintf(text, sizeof text,
             "notify { smtp_url = \"smtp://u@h:587\" smtp_password_file = \"%s/pw\" }", directory);
    struct config *config = load_good(text);
    assert_string_equal(config->notify.smtp_url, "smtp://u@h:587");
    assert_string_equal(config->notify.smtp_password, "p w");
    config_free(config);
}

static void smtp_url_that_is_wrong_is_refused_without_its_password(void **state)
{
    (void)state;
    EXPECT_ERRORS("notify {\n smtp_url = \"http://u:p@h\" }", "2: smtp_url: expected a URL");
    EXPECT_ERRORS("notify { smtp_url = \"smtp://h\"\n smtp_password_file = \"/none\" }",
                  "2: smtp_password_file: expected only with an smtp_url that has a user");
    EXPECT_ERRORS("notify { smtp_url = \"smtp://u:p@h\"\n smtp_password_file = \"/none\" }",
                  "2: smtp_password_file: expected only with an smtp_url that has a user");
    EXPECT_ERRORS("notify { smtp_url = \"smtp://u@h\"\n smtp_password_file = \"/none\" }",
                  "2: smtp_password_file: cannot read /none: No such file");
}

#else

static void smtp_url_is_refused_without_libcurl(void **state)
{
    (void)state;
    EXPECT_ERRORS("notify {\n smtp_url = \"smtp://h\" }", "2: smtp_url: this build has no libcurl");
}

#endif

static void notify_takes_addresses_and_the_path_of_a_program(void **state)
{
    (void)state;
    EXPECT_ERRORS(
        "notify { recipients = {\"root\",\n\"-x\",\n\"a b\", \"\"}\n sendmail = \"mail\" }",
        "2: recipients: expected a mail address", "3: recipients: expected a mail address",
        "3: recipients: expected a mail address", "4: sendmail: expected the path");
}

static void srs_needs_a_secret_and_a_build_that_has_it(void **state)
{
    (void)state;
#if HAVE_CRYPTO
    EXPECT_ERRORS("\nsrs { domain = \"d\" }", "2: domain: expected secrets or secrets_file");
    struct config *config = load_good("srs { domain = \"SRS.Example\" secrets = {\"S\"} }");
    assert_string_equal(config->srs.domain, "srs.example");
    assert_string_equal(config->srs.secrets.items[0], "S");
    config_free(config);
#else
    EXPECT_ERRORS("srs {\n secrets = {\"s\"}\n domain = \"d\" }",
                  "3: domain: this build has no SRS: build Postern with libcrypto");
#endif
}

static void delimiter_that_every_address_has_is_refused(void **state)
{
    (void)state;
    EXPECT_ERRORS("recipient_delimiters = \"+@\"",
                  "1: recipient_delimiters: expected characters other than '@'");
    EXPECT_ERRORS("\nrecipient_delimiters = \".\"",
                  "2: recipient_delimiters: expected characters other than '@'");
}

static void addresses_and_networks_are_checked_one_by_one(void **state)
{
    (void)state;
    EXPECT_ERRORS("listen = {\"127.0.0.1:7777\", # good\n"
                  " \"localhost:7777\",\n"
                  " \"127.0.0.1\", \"127.0.0.1:0\",\n"
                  " \"::1:7777\", \"[::1:7777\", \"unix:relative\", \"\"}\n"
                  "mynetworks = {\"192.0.2.0/24\",\n"
                  " \"192.0.2.0/33\"}\n"
                  "dns { servers = {\"dns.example\"} }\n"
                  "metrics { listen = \"7780\" }\n"
                  "ldap { uri = \"http://h\" }\n"
                  "plugin_dir = \"\"\n"
                  "directory { local_domains = {\"good.example\", \"@a.example\", \".b\"} }\n",
                  "2: listen: expected an address like", "3: listen: expected an address like",
                  "3: listen: expected an address like", "4: listen: expected an address like",
                  "4: listen: expected an address like", "4: listen: expected an address like",
                  "4: listen: expected an address like", "6: mynetworks: expected an address or",
                  "7: servers: expected a server like", "8: listen: expected an address like",
                  "9: uri: expected a URI like", "10: plugin_dir: expected a directory",
                  "11: local_domains: expected a domain like \"example.com\", not `@a.example`",
                  "11: local_domains: expected a domain like \"example.com\", not `.b`");
    EXPECT_ERRORS("\nlisten = {}", "2: listen: expected at least one address");
}

static void address_of_two_services_is_refused(void **state)
{
    (void)state;
    EXPECT_ERRORS("listen = {\"127.0.0.1:1\", \"*:2\",\n \"127.0.0.1:1\"}\n"
                  "metrics { listen = \"*:2\" }\n",
                  "2: expected an address for each service, `127.0.0.1:1` is that of two",
                  "3: expected an address for each service, `*:2` is that of two");
    EXPECT_ERRORS("\nlisten = {\"127.0.0.1:7780\"}\n",
                  "2: expected an address for each service, `127.0.0.1:7780` is that of two");
    config_free(load_good("metrics { listen = \"127.0.0.1:7778\" }"));
#if HAVE_CRYPTO
    EXPECT_ERRORS("srs { " SRS_DOMAIN " secrets = {\"x\"}\nlisten_socketmap = \"127.0.0.1:7778\"\n"
                  "listen_reverse = \"127.0.0.1:7778\" }\n",
                  "2: expected an address for each service, `127.0.0.1:7778` is that of two",
                  "2: expected an address for each service, `127.0.0.1:7778` is that of two",
                  "3: expected an address for each service, `127.0.0.1:7778` is that of two");
    config_free(load_good("srs { " SRS_DOMAIN " secrets = {\"x\"} listen_forward = \"\" "
                          "listen_reverse = \"\" }"));
#endif
}

static char *read_sample(struct postern_arena *arena)
{
    size_t length;
    char *text = config_read_all(arena, SAMPLE, 1 << 20, &length);
    assert_non_null(text);
    return text;
}

static void expect_same_values(const struct config *a, const struct config *b)
{
    struct buffer left = {0}, right = {0};
    for (const struct config_table *table = config_tables; table->name != NULL; table++)
        for (const struct postern_option *option = table->options; option->name != NULL; option++) {
            buffer_clear(&left);
            buffer_clear(&right);
            option_text(option, a, &left);
            option_text(option, b, &right);
            if (strcmp(option->name, "plugins") != 0)
                assert_string_equal(left.data, right.data);
        }
    buffer_free(&left);
    buffer_free(&right);
}

static void the_sample_works_as_it_is(void **state)
{
    (void)state;
    char *errors;
    struct config *config = config_load(SAMPLE, &hooks, &errors);
    if (config == NULL)
        fail_msg("%s", errors);
    struct config *defaults = load_good("");
    expect_same_values(config, defaults);
    assert_int_equal(config->plugins_length, 6);
    config_free(config);
    config_free(defaults);
}

/* A '#' directly before a key comments out its default. */
static void uncomment(char *text)
{
    for (char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += strspn(line, "\n ");
        if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z')
            line[0] = ' ';
    }
}

static void the_sample_shows_every_key_with_its_default(void **state)
{
    (void)state;
    struct postern_arena *arena = arena_new();
    char *text = read_sample(arena);
    uncomment(text);
    struct config *defaults = load_good(""), *config = load_good(text);
    expect_same_values(config, defaults);
    assert_string_equal(config_database(config, "iredapd")->path, CONFIG_DEFAULT_DATABASE);

    struct config_problems problems = {.arena = arena, .path = path};
    struct config_file file = config_file_read(config_section_kinds, &problems);
    for (const struct config_table *table = config_tables; table->name != NULL; table++)
        for (const struct postern_option *option = table->options; option->name != NULL; option++) {
            const struct config_section *section = config_section_find(&file, table->name, NULL);
            if (strcmp(option->name, "plugin_dir") != 0 &&
                (section == NULL || config_setting_find(section, option->name) == NULL))
                fail_msg("%s %s is not in the sample", table->name, option->name);
        }
    config_free(config);
    config_free(defaults);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(every_key_is_taken),
        cmocka_unit_test(databases_that_are_missing_are_the_embedded_file),
        cmocka_unit_test(a_database_is_configured_in_part),
        cmocka_unit_test(database_mistakes_are_told),
        cmocka_unit_test(secrets_are_read_from_files_without_line_ends),
        cmocka_unit_test(secrets_that_cannot_be_used_are_told),
        cmocka_unit_test(srs_domain_that_is_none_is_refused),
#if HAVE_CURL
        cmocka_unit_test(smtp_url_is_taken_with_its_password),
        cmocka_unit_test(smtp_url_that_is_wrong_is_refused_without_its_password),
#else
        cmocka_unit_test(smtp_url_is_refused_without_libcurl),
#endif
        cmocka_unit_test(notify_takes_addresses_and_the_path_of_a_program),
        cmocka_unit_test(srs_needs_a_secret_and_a_build_that_has_it),
        cmocka_unit_test(delimiter_that_every_address_has_is_refused),
        cmocka_unit_test(addresses_and_networks_are_checked_one_by_one),
        cmocka_unit_test(address_of_two_services_is_refused),
        cmocka_unit_test(the_sample_works_as_it_is),
        cmocka_unit_test(the_sample_shows_every_key_with_its_default),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
