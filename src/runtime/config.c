/*
 * The file is read (config_file.c), each setting goes into the field that its option names
 * (config_options.c), and then what needs more than one value is checked and read. Each step
 * notes the problems that it finds and goes on.
 */
#include "runtime/config_draft.h"

#include "util/arena.h"

#include <string.h>
#include <unistd.h>

const struct config_section *config_section_find(const struct config_file *file, const char *name,
                                                 const char *title)
{
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->sections[i].name, name) == 0 &&
            (title == NULL || strcmp(file->sections[i].title, title) == 0))
            return &file->sections[i];
    return NULL;
}

bool config_apply(struct config_draft *draft, const struct config_setting *setting,
                  const struct postern_option *option, void *options)
{
    struct postern_error error;
    if (option_parse(draft->config.arena, option, &setting->values, options, &error))
        return true;
    config_problem_add(&draft->problems, setting->line, "%s: %s", setting->key, error.text);
    return false;
}

static void apply_defaults(struct config_draft *draft)
{
    struct postern_error error;
    for (const struct config_table *table = config_tables; table->name != NULL; table++)
        for (const struct postern_option *option = table->options; option->name != NULL; option++)
            option_parse_fallback(draft->config.arena, option, draft, &error);
}

static void refuse_key(struct config_draft *draft, const struct config_table *table,
                       const struct config_setting *setting)
{
    struct buffer names = {0};
    option_names(table->options, &names);
    if (table->name[0] != '\0')
        config_problem_add(&draft->problems, setting->line, "%s: no option `%s`; it has: %s",
                           table->name, setting->key, names.data);
    else
        config_problem_add(&draft->problems, setting->line,
                           "%s: no such option outside of sections; there are: %s", setting->key,
                           names.data);
    buffer_free(&names);
}

static void apply_section(struct config_draft *draft, const struct config_table *table,
                          const struct config_section *section)
{
    const struct config_section *first = config_section_find(&draft->file, section->name, NULL);
    if (first != section)
        config_problem_add(&draft->problems, section->line,
                           "%s: expected one such section, the other is in line %d", section->name,
                           first->line);
    for (size_t i = 0; i < section->count; i++) {
        const struct config_setting *setting = &section->settings[i];
        const struct postern_option *option = option_find(table->options, setting->key);
        if (option == NULL)
            refuse_key(draft, table, setting);
        else
            config_apply(draft, setting, option, draft);
    }
}

static void apply_sections(struct config_draft *draft)
{
    for (const struct config_table *table = config_tables; table->name != NULL; table++)
        for (size_t i = 0; i < draft->file.count; i++)
            if (strcmp(draft->file.sections[i].name, table->name) == 0)
                apply_section(draft, table, &draft->file.sections[i]);
}

static void fill_in(struct config *config, int facility)
{
    config->log.facility = config_facility_code(facility);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (config->workers == 0)
        config->workers = processors > 0 ? processors : 1;
}

static void load(struct config_draft *draft)
{
    apply_defaults(draft);
    draft->file = config_file_read(config_section_kinds, &draft->problems);
    bool whole = draft->problems.list == NULL;
    if (draft->file.count == 0)
        return;
    apply_sections(draft);
    config_check_values(draft);
    config_take_plugins(draft);
    if (!whole)
        return;
    config_take_databases(draft);
    config_check_plugin_databases(draft);
    config_check_whole(draft);
    fill_in(&draft->config, draft->facility);
}

struct config *config_load(const char *path, const struct config_modules *modules, char **errors)
{
    struct postern_arena *arena = arena_new();
    struct config_draft *draft = postern_alloc(arena, sizeof *draft);
    draft->config.arena = arena;
    draft->config.path = postern_strdup(arena, path);
    draft->hooks = modules;
    draft->problems = (struct config_problems){.arena = arena, .path = draft->config.path};
    load(draft);
    *errors = config_problems_text(&draft->problems);
    if (*errors == NULL)
        return &draft->config;
    config_free(&draft->config);
    return NULL;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    struct config_draft *draft = (struct config_draft *)config;
    if (config->modules != NULL)
        draft->hooks->unload(config->modules);
    arena_free(config->arena);
}

const struct database_config *config_database(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->databases_length; i++)
        if (strcmp(config->databases[i].name, name) == 0)
            return &config->databases[i];
    return NULL;
}
