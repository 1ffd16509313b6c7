#include "ctl/nouns.h"
#include "ctl/output.h"
#include "policy/chain.h"
#include "runtime/option.h"
#include <inttypes.h>
#include <stdlib.h>

#define TYPICAL_NAME 24 /* option lines are aligned for names up to this */

static const struct {
    enum postern_state state;
    const char *name;
} states[] = {
    {POSTERN_CONNECT, "CONNECT"},   {POSTERN_EHLO, "EHLO"},
    {POSTERN_HELO, "HELO"},         {POSTERN_MAIL, "MAIL"},
    {POSTERN_RCPT, "RCPT"},         {POSTERN_DATA, "DATA"},
    {POSTERN_VRFY, "VRFY"},         {POSTERN_ETRN, "ETRN"},
    {POSTERN_OTHER_STATE, "OTHER"}, {POSTERN_END_OF_MESSAGE, "END-OF-MESSAGE"},
};

static const char *const types[] = {
    [POSTERN_OPTION_BOOL] = "bool",         [POSTERN_OPTION_INTEGER] = "integer",
    [POSTERN_OPTION_DURATION] = "duration", [POSTERN_OPTION_SIZE] = "size",
    [POSTERN_OPTION_STRING] = "string",     [POSTERN_OPTION_CHOICE] = "choice",
    [POSTERN_OPTION_LIST] = "list",
};

/* The set as names; the caller frees the buffer. */
static struct buffer states_text(unsigned set)
{
    struct buffer text = {0};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if ((set & states[i].state) != 0)
            buffer_printf(&text, "%s%s", text.length > 0 ? " " : "", states[i].name);
    return text;
}

static bool is_end(const struct postern_option *option)
{
    return option == NULL || option->name == NULL;
}

/* The value as postern.conf has it, and the default likewise. */
static void option_texts(const struct plugin_config *config, const struct postern_option *option,
                         const void *defaults, struct buffer *value, struct buffer *fallback)
{
    option_text(option, config->options, value);
    option_text(option, defaults, fallback);
}

/* --- JSON --- */

static void option_json(struct json *json, const struct plugin_config *config,
                        const struct postern_option *option, const void *defaults)
{
    struct buffer value = {0}, fallback = {0};
    option_texts(config, option, defaults, &value, &fallback);
    json_object(json);
    json_key(json, "name");
    json_string(json, option->name);
    json_key(json, "type");
    json_string(json, types[option->type]);
    json_key(json, "value");
    json_string(json, value.data);
    json_key(json, "default");
    json_string(json, fallback.data);
    json_key(json, "help");
    json_string(json, option->help);
    json_object_end(json);
    buffer_free(&value);
    buffer_free(&fallback);
}

static void states_json(struct json *json, unsigned set)
{
    json_array(json);
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if ((set & states[i].state) != 0)
            json_string(json, states[i].name);
    json_array_end(json);
}

static void plugin_json(struct json *json, const struct plugin_config *config, const void *defaults)
{
    const struct postern_plugin *plugin = config->plugin;
    json_object(json);
    json_key(json, "name");
    json_string(json, plugin->name);
    json_key(json, "summary");
    json_string(json, plugin->summary != NULL ? plugin->summary : "");
    json_key(json, "states");
    states_json(json, plugin->states);
    json_key(json, "priority");
    json_integer(json, config->priority);
    json_key(json, "shadow");
    json_bool(json, config->shadow);
    json_key(json, "options");
    json_array(json);
    for (const struct postern_option *each = plugin->options; !is_end(each); each++)
        option_json(json, config, each, defaults);
    json_array_end(json);
    json_object_end(json);
}

/* --- text --- */

static void option_line(struct ctl *ctl, const struct plugin_config *config,
                        const struct postern_option *option, const void *defaults)
{
    struct buffer value = {0}, fallback = {0};
    option_texts(config, option, defaults, &value, &fallback);
    buffer_printf(ctl->out, "      %-*s = ", TYPICAL_NAME, option->name);
    output_text(ctl->out, value.data);
    buffer_printf(ctl->out, "  # %s; %s, default ", option->help, types[option->type]);
    output_text(ctl->out, fallback.data);
    buffer_char(ctl->out, '\n');
    buffer_free(&value);
    buffer_free(&fallback);
}

static void plugin_text(struct ctl *ctl, size_t place, const struct plugin_config *config,
                        const void *defaults)
{
    const struct postern_plugin *plugin = config->plugin;
    struct buffer names = states_text(plugin->states);
    buffer_printf(ctl->out, "%3zu. %s  priority %" PRId64 "  %s%s\n", place, plugin->name,
                  config->priority, names.length > 0 ? names.data : "no state",
                  config->shadow ? "  shadow" : "");
    if (plugin->summary != NULL)
        buffer_printf(ctl->out, "      %s\n", plugin->summary);
    for (const struct postern_option *each = plugin->options; !is_end(each); each++)
        option_line(ctl, config, each, defaults);
    buffer_free(&names);
}

static void list_json(struct ctl *ctl, const struct plugin_config *const *order,
                      void *const *defaults)
{
    struct json json = json_on(ctl->out);
    json_array(&json);
    for (size_t i = 0; i < ctl->config->plugins_length; i++)
        plugin_json(&json, order[i], defaults[i]);
    json_array_end(&json);
}

static void list_text(struct ctl *ctl, const struct plugin_config *const *order,
                      void *const *defaults)
{
    for (size_t i = 0; i < ctl->config->plugins_length; i++)
        plugin_text(ctl, i + 1, order[i], defaults[i]);
    if (ctl->config->plugins_length == 0)
        buffer_text(ctl->out, "no plugins; name some in `plugins` of postern.conf\n");
}

static enum ctl_status list(struct ctl *ctl)
{
    size_t count = ctl->config->plugins_length;
    const struct plugin_config **order = chain_order(ctl->config);
    void **defaults = postern_alloc(ctl->arena, (count + 1) * sizeof *defaults);
    struct postern_error error;
    enum ctl_status status = CTL_DONE;
    for (size_t i = 0; i < count && status == CTL_DONE; i++)
        if (!option_defaults(ctl->arena, order[i]->plugin, &defaults[i], &error)) {
            ctl_complain("%s: %s", order[i]->plugin->name, error.text);
            status = CTL_UNREACHABLE;
        }
    if (status == CTL_DONE)
        (ctl->json ? list_json : list_text)(ctl, order, defaults);
    free(order);
    return status;
}

static const struct command commands[] = {
    {"list", NULL, "the plugins in their order, with their options and values", NULL, NEEDS_CONFIG,
     list},
    {NULL},
};

const struct noun noun_plugin = {"plugin", "what decides about mail", commands};
