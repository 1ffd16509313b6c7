#include "ctl/command.h"

#include "ctl/nouns.h"
#include "runtime/config.h"
#include <string.h>

/* clang-format off */
const struct noun *const nouns[] = {
    &noun_status,
    &noun_reload,
    &noun_stop,
    &noun_config,
    &noun_plugin,
    &noun_db,
    &noun_greylist,
    &noun_spf,
    &noun_srs,
    &noun_senderscore,
    &noun_throttle,
    &noun_wblist,
    &noun_rdns,
    &noun_help,
    NULL,
};
/* clang-format on */

const struct global_option global_options[] = {
    {{"config", "FILE", "the configuration, instead of " CONFIG_DEFAULT_PATH}, 'c'},
    {{"json", NULL, "print one JSON document instead of text"}, 0},
    {{"timeout", "DURATION", "give up after that long (default: 10s, db migrate: 10m)"}, 0},
    {{"help", NULL, "say what the command does"}, 'h'},
    {{"version", NULL, "print the version"}, 'V'},
    {{NULL}, 0},
};

static const struct noun *noun_find(const char *name)
{
    for (size_t i = 0; nouns[i] != NULL; i++)
        if (strcmp(nouns[i]->name, name) == 0)
            return nouns[i];
    return NULL;
}

size_t command_words(const struct command *command, const struct postern_names *words, size_t first)
{
    const char *verb = command->verb;
    size_t matched = 0;
    while (*verb != '\0' && first + matched < words->count) {
        const char *word = words->items[first + matched];
        size_t length = strcspn(verb, " ");
        if (strlen(word) != length || memcmp(word, verb, length) != 0)
            return matched;
        matched++;
        verb += length;
        verb += *verb == ' ';
    }
    return matched;
}

static size_t verb_length(const char *verb)
{
    size_t count = *verb != '\0';
    for (; *verb != '\0'; verb++)
        count += *verb == ' ';
    return count;
}

struct found command_find(const struct postern_names *words)
{
    struct found found = {0};
    found.noun = words->count > 0 ? noun_find(words->items[0]) : NULL;
    if (found.noun == NULL)
        return found;
    found.used = 1;
    for (const struct command *each = found.noun->commands; each->verb != NULL; each++) {
        size_t matched = command_words(each, words, 1);
        bool whole = matched == verb_length(each->verb);
        if (1 + matched < found.used || (!whole && 1 + matched == found.used))
            continue;
        found.used = 1 + matched;
        found.command = whole ? each : NULL;
    }
    return found;
}

static const struct command_option *option_in(const struct command_option *options,
                                              const char *name)
{
    for (; options != NULL && options->name != NULL; options++)
        if (strcmp(options->name, name) == 0)
            return options;
    return NULL;
}

const struct command_option *command_option(const struct command *command, const char *name)
{
    return option_in(command->options, name);
}

static const struct command_option *option_anywhere(const struct noun *noun, const char *name)
{
    const struct command_option *found = NULL;
    for (const struct command *each = noun->commands; each->verb != NULL && found == NULL; each++)
        found = option_in(each->options, name);
    return found;
}

const struct command_option *option_find_any(const char *name)
{
    const struct command_option *found = NULL;
    for (const struct global_option *each = global_options; each->option.name != NULL; each++)
        if (strcmp(each->option.name, name) == 0)
            return &each->option;
    for (size_t i = 0; nouns[i] != NULL && found == NULL; i++)
        found = option_anywhere(nouns[i], name);
    return found;
}

const struct command_option *option_find_letter(char letter)
{
    for (const struct global_option *each = global_options; each->option.name != NULL; each++)
        if (each->letter != 0 && each->letter == letter)
            return &each->option;
    return NULL;
}
