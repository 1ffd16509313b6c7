#include "runtime/config_draft.h"

#include <string.h>

/* A plugin that the file names, in `plugins` or in a section. */
struct named_plugin {
    const struct postern_plugin *plugin;
    const struct config_section *section;
    int line;
};

static const struct postern_plugin *load(struct config_draft *draft, const char *name, int line)
{
    struct postern_error error = {{0}};
    const struct postern_plugin *plugin =
        draft->hooks->load(&draft->config.modules, draft->config.plugin_dir, name, &error);
    if (plugin == NULL)
        config_problem_add(&draft->problems, line, "%s: %s", name, error.text);
    return plugin;
}

static struct named_plugin *named_find(struct named_plugin *named, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(named[i].plugin->name, name) == 0)
            return &named[i];
    return NULL;
}

static size_t load_listed(struct config_draft *draft, struct named_plugin *named)
{
    const struct config_setting *list = config_setting_find(&draft->file.sections[0], "plugins");
    size_t count = 0;
    for (size_t i = 0; i < draft->plugins.count; i++) {
        const struct postern_plugin *plugin = load(draft, list->values.items[i], list->lines[i]);
        if (plugin == NULL)
            continue;
        if (named_find(named, count, plugin->name) != NULL)
            config_problem_add(&draft->problems, list->lines[i],
                               "plugins: expected each plugin once, `%s` is there twice",
                               plugin->name);
        else
            named[count++] = (struct named_plugin){.plugin = plugin, .line = list->lines[i]};
    }
    return count;
}

/* Those that are only in sections come after the listed ones. */
static size_t load_sections(struct config_draft *draft, struct named_plugin *named, size_t count)
{
    for (size_t i = 0; i < draft->file.count; i++) {
        const struct config_section *section = &draft->file.sections[i];
        if (strcmp(section->name, "plugin") != 0)
            continue;
        const struct postern_plugin *plugin = load(draft, section->title, section->line);
        if (plugin == NULL)
            continue;
        struct named_plugin *found = named_find(named, count, plugin->name);
        if (found == NULL) {
            found = &named[count++];
            found->plugin = plugin;
        }
        if (found->section != NULL)
            config_problem_add(&draft->problems, section->line,
                               "plugin: expected one section for `%s`, the other is in line %d",
                               plugin->name, found->section->line);
        else
            found->section = section;
        found->line = section->line;
    }
    return count;
}

static void refuse_option(struct config_draft *draft, const struct postern_plugin *plugin,
                          const struct config_setting *setting)
{
    struct buffer names = {0};
    option_names(plugin->options, &names);
    if (names.length > 0)
        buffer_text(&names, ", ");
    option_names(config_plugin_options, &names);
    config_problem_add(&draft->problems, setting->line, "%s: no option `%s`; it has: %s",
                       plugin->name, setting->key, names.data);
    buffer_free(&names);
}

static bool apply_setting(struct config_draft *draft, const struct config_setting *setting,
                          struct plugin_config *config, void *options)
{
    const struct postern_option *option = option_find(config_plugin_options, setting->key);
    if (option != NULL)
        return config_apply(draft, setting, option, config);
    option = option_find(config->plugin->options, setting->key);
    if (option != NULL)
        return config_apply(draft, setting, option, options);
    refuse_option(draft, config->plugin, setting);
    return false;
}

static bool fill_options(struct config_draft *draft, const struct named_plugin *named,
                         struct plugin_config *config, struct postern_error *error)
{
    void *options;
    for (const struct postern_option *option = config_plugin_options; option->name != NULL;
         option++)
        if (option_find(named->plugin->options, option->name) != NULL)
            return postern_error_set(error,
                                     "the module declares the option %s, which every "
                                     "plugin has already",
                                     option->name);
    if (!option_defaults(draft->config.arena, named->plugin, &options, error))
        return false;
    config->options = options;
    bool good = true;
    for (size_t i = 0; named->section != NULL && i < named->section->count; i++)
        good &= apply_setting(draft, &named->section->settings[i], config, options);
    return !good || config->plugin->validate == NULL || config->plugin->validate(options, error);
}

static struct plugin_config configure(struct config_draft *draft, const struct named_plugin *named)
{
    struct plugin_config config = {.plugin = named->plugin, .priority = named->plugin->priority};
    struct postern_error error = {{0}};
    if (!fill_options(draft, named, &config, &error))
        config_problem_add(&draft->problems, named->line, "%s: %s", named->plugin->name,
                           error.text);
    return config;
}

void config_take_plugins(struct config_draft *draft)
{
    size_t room = draft->plugins.count + draft->file.count;
    struct named_plugin *named = postern_alloc(draft->config.arena, room * sizeof *named);
    size_t listed = load_listed(draft, named);
    size_t count = load_sections(draft, named, listed);

    struct plugin_config *plugins =
        postern_alloc(draft->config.arena, (count + 1) * sizeof *plugins);
    for (size_t i = 0; i < count; i++)
        plugins[i] = configure(draft, &named[i]);
    draft->config.plugins = plugins;
    draft->config.plugins_length = listed;
}

void config_check_plugin_databases(struct config_draft *draft)
{
    const struct config_setting *list = config_setting_find(&draft->file.sections[0], "plugins");
    for (size_t i = 0; i < draft->config.plugins_length; i++) {
        const struct postern_plugin *plugin = draft->config.plugins[i].plugin;
        if (plugin->database != NULL &&
            !config_database(&draft->config, plugin->database)->configured)
            config_problem_add(&draft->problems, list->line,
                               "%s: expected a section database \"%s\", whose tables it asks",
                               plugin->name, plugin->database);
    }
}
