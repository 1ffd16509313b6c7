#include "runtime/config_draft.h"

#include <string.h>

enum { SQLITE, PGSQL, MYSQL }; /* indexes into config_database_drivers */

static const char *const database_names[] = {"iredapd", "vmail", "amavisd"};
#define DATABASES (sizeof database_names / sizeof *database_names)

static bool is_database(const char *name)
{
    for (size_t i = 0; i < DATABASES; i++)
        if (strcmp(database_names[i], name) == 0)
            return true;
    return false;
}

static void check_names(struct config_draft *draft)
{
    for (size_t i = 0; i < draft->file.count; i++) {
        const struct config_section *section = &draft->file.sections[i];
        if (strcmp(section->name, "database") == 0 && !is_database(section->title))
            config_problem_add(&draft->problems, section->line,
                               "database: expected \"iredapd\", \"vmail\" or \"amavisd\", not `%s`",
                               section->title);
    }
}

/* An option that its driver ignores is most often a forgotten `driver`. */
static void check_driver_options(struct config_draft *draft, const struct config_section *section,
                                 int driver)
{
    static const char *const server_keys[] = {"host", "port",     "name",
                                              "user", "password", "password_file"};
    const struct config_setting *path = config_setting_find(section, "path");
    if (driver != SQLITE && path != NULL)
        config_problem_add(&draft->problems, path->line,
                           "path: expected only with driver = \"sqlite\"");
    for (size_t i = 0; driver == SQLITE && i < sizeof server_keys / sizeof *server_keys; i++) {
        const struct config_setting *setting = config_setting_find(section, server_keys[i]);
        if (setting != NULL)
            config_problem_add(&draft->problems, setting->line,
                               "%s: expected only with driver = \"pgsql\" or \"mysql\"",
                               setting->key);
    }
}

static void apply_section(struct config_draft *draft, const struct config_section *section,
                          struct database_draft *database)
{
    struct buffer names = {0};
    option_names(config_database_options, &names);
    bool good = true;
    for (size_t i = 0; i < section->count; i++) {
        const struct config_setting *setting = &section->settings[i];
        const struct postern_option *option = option_find(config_database_options, setting->key);
        if (option != NULL)
            good &= config_apply(draft, setting, option, database);
        else
            config_problem_add(&draft->problems, setting->line,
                               "database: no option `%s`; it has: %s", setting->key, names.data);
    }
    buffer_free(&names);
    if (!good)
        return;
    check_driver_options(draft, section, database->driver);
    config_read_secret(draft, section, "password", "password_file", database->password_file,
                       &database->config.password);
}

static void take_database(struct config_draft *draft, const char *name,
                          struct database_config *config)
{
    struct database_draft database = {0};
    struct postern_error error;
    for (const struct postern_option *option = config_database_options; option->name != NULL;
         option++)
        option_parse_fallback(draft->config.arena, option, &database, &error);
    const struct config_section *section = config_section_find(&draft->file, "database", name);
    if (section != NULL)
        apply_section(draft, section, &database);
    *config = database.config;
    config->configured = section != NULL;
    config->name = name;
    config->driver = config_database_drivers[database.driver];
    if (config->dbname[0] == '\0')
        config->dbname = name;
    if (config->user[0] == '\0')
        config->user = name;
}

void config_take_databases(struct config_draft *draft)
{
    struct database_config *databases =
        postern_alloc(draft->config.arena, DATABASES * sizeof *databases);
    check_names(draft);
    for (size_t i = 0; i < DATABASES; i++)
        take_database(draft, database_names[i], &databases[i]);

    const char *embedded =
        databases[0].path[0] != '\0' ? databases[0].path : CONFIG_DEFAULT_DATABASE;
    for (size_t i = 0; i < DATABASES; i++) {
        if (databases[i].path[0] == '\0')
            databases[i].path = embedded;
        if (strcmp(databases[0].driver, config_database_drivers[SQLITE]) == 0)
            databases[i].configured = true;
    }
    draft->config.databases = databases;
    draft->config.databases_length = DATABASES;
}
