/*
 * First everything is sorted into words and options, whose names alone say whether a value
 * follows; then the words say which command it is, and so which of the options it takes.
 */
#include "ctl/arguments.h"

#include "ctl/suggest.h"
#include "ctl/usage.h"
#include "util/names.h"
#include "util/quantity.h"
#include <stdio.h>
#include <string.h>

/* An option as it was given. */
struct given {
    const char *written;                 /* "--from", "-c" */
    const struct command_option *option; /* NULL: nobody has one of that name */
    const char *value;                   /* NULL: none was given */
};

struct line {
    struct ctl *ctl;
    char **arguments; /* what is left of them */
    char **end;
    struct postern_names words;
    struct given *given;
    size_t given_count;
};

/* --- sorting --- */

/* "-" alone is a value: standard input. */
static bool is_option(const char *argument)
{
    return argument[0] == '-' && argument[1] != '\0';
}

static void add_given(struct line *line, const char *written, const struct command_option *option,
                      const char *attached)
{
    const char *value = attached;
    bool wants = option != NULL && option->value != NULL && value == NULL;
    bool several = wants && option->values != VALUES_ONE;
    if (wants && line->arguments < line->end && !(several && is_option(*line->arguments)))
        value = *line->arguments++;
    line->given[line->given_count++] = (struct given){written, option, value};
    while (several && line->arguments < line->end && !is_option(*line->arguments))
        line->given[line->given_count++] = (struct given){written, option, *line->arguments++};
}

static void take_long(struct line *line, const char *argument)
{
    struct postern_arena *arena = line->ctl->arena;
    size_t length = strcspn(argument, "=");
    const char *written = postern_strndup(arena, argument, length);
    const char *attached = argument[length] == '=' ? argument + length + 1 : NULL;
    add_given(line, written, option_find_any(written + 2), attached);
}

static void take_letter(struct line *line, const char *argument)
{
    const char *written = postern_strndup(line->ctl->arena, argument, 2);
    const char *attached = argument[2] != '\0' ? argument + 2 : NULL;
    add_given(line, written, option_find_letter(argument[1]), attached);
}

static void sort_arguments(struct line *line)
{
    bool only_words = false;
    while (line->arguments < line->end) {
        const char *argument = *line->arguments++;
        if (only_words || !is_option(argument))
            names_add(line->ctl->arena, &line->words, argument);
        else if (strcmp(argument, "--") == 0)
            only_words = true;
        else if (argument[1] == '-')
            take_long(line, argument);
        else
            take_letter(line, argument);
    }
}

/* --- complaints --- */

/* The usage of what the words name so far. */
static enum ctl_status show_usage(const struct line *line)
{
    struct buffer usage = {0};
    usage_help(&usage, &line->words);
    fprintf(stderr, "\n%s", usage.data);
    buffer_free(&usage);
    return CTL_USAGE;
}

static enum ctl_status unknown_option(const struct line *line, const struct given *given)
{
    struct postern_names names = {0};
    struct postern_arena *arena = line->ctl->arena;
    for (const struct global_option *each = global_options; each->option.name != NULL; each++)
        names_add(arena, &names, each->option.name);
    const struct command *command = line->ctl->command;
    const struct command_option *own = command != NULL ? command->options : NULL;
    for (; own != NULL && own->name != NULL; own++)
        names_add(arena, &names, own->name);

    const char *meant = suggest(given->written + strspn(given->written, "-"), &names);
    if (meant != NULL)
        ctl_complain("unknown option %s; did you mean --%s?", given->written, meant);
    else
        ctl_complain("unknown option %s; see below for what there is", given->written);
    return show_usage(line);
}

/* --- taking --- */

static bool take_global(struct ctl *ctl, const struct given *given)
{
    const char *name = given->option->name;
    if (strcmp(name, "config") == 0)
        ctl->config_path = given->value;
    else if (strcmp(name, "json") == 0)
        ctl->json = true;
    else if (strcmp(name, "help") == 0)
        ctl->help = true;
    else if (strcmp(name, "version") == 0)
        ctl->version = true;
    else if (strcmp(name, "timeout") == 0)
        return quantity_parse_duration(given->value, &ctl->timeout) && ctl->timeout > 0;
    return true;
}

static bool is_global(const struct command_option *option)
{
    for (const struct global_option *each = global_options; each->option.name != NULL; each++)
        if (&each->option == option)
            return true;
    return false;
}

static bool is_value_right(const struct given *given, const struct command_option *option)
{
    bool optional = option->values == VALUES_ANY && given->value == NULL;
    return optional || (given->value == NULL) == (option->value == NULL);
}

static enum ctl_status value_mismatch(const struct line *line, const struct given *given)
{
    if (given->value == NULL)
        ctl_complain("%s needs a value: %s %s", given->written, given->written,
                     given->option->value);
    else
        ctl_complain("%s takes no value", given->written);
    return show_usage(line);
}

static enum ctl_status take_globals(struct line *line)
{
    for (size_t i = 0; i < line->given_count; i++) {
        const struct given *given = &line->given[i];
        if (given->option == NULL || !is_global(given->option))
            continue;
        if (!is_value_right(given, given->option))
            return value_mismatch(line, given);
        if (!take_global(line->ctl, given)) {
            ctl_complain("%s: `%s` is not a time to wait; expected such as 30s or 5m",
                         given->written, given->value);
            return CTL_USAGE;
        }
    }
    return CTL_DONE;
}

static enum ctl_status take_own(struct line *line, const struct given *given)
{
    struct ctl *ctl = line->ctl;
    const struct command_option *option = command_option(ctl->command, given->option->name);
    if (option == NULL)
        return unknown_option(line, given);
    if (!is_value_right(given, option))
        return value_mismatch(line, given);
    size_t index = (size_t)(option - ctl->command->options);
    if (ctl->values[index] != NULL && option->values == VALUES_ONE) {
        ctl_complain("%s is given twice; give it once", given->written);
        return show_usage(line);
    }
    ctl->values[index] = given->value != NULL ? given->value : "";
    if (given->value != NULL)
        names_add(ctl->arena, &ctl->lists[index], given->value);
    return CTL_DONE;
}

static enum ctl_status check_required(const struct line *line)
{
    const struct command *command = line->ctl->command;
    for (size_t i = 0; command->options != NULL && command->options[i].name != NULL; i++) {
        const struct command_option *option = &command->options[i];
        if (!option->required || line->ctl->values[i] != NULL)
            continue;
        ctl_complain("--%s %s is missing", option->name, option->value);
        return show_usage(line);
    }
    return CTL_DONE;
}

static enum ctl_status take_options(struct line *line)
{
    const struct command *command = line->ctl->command;
    size_t count = 0;
    while (command->options != NULL && command->options[count].name != NULL)
        count++;
    line->ctl->values = postern_alloc(line->ctl->arena, (count + 1) * sizeof(char *));
    line->ctl->lists = postern_alloc(line->ctl->arena, (count + 1) * sizeof *line->ctl->lists);
    for (size_t i = 0; i < line->given_count; i++) {
        const struct given *given = &line->given[i];
        if (is_global(given->option))
            continue;
        enum ctl_status status = take_own(line, given);
        if (status != CTL_DONE)
            return status;
    }
    return check_required(line);
}

static enum ctl_status take_words(struct line *line)
{
    struct ctl *ctl = line->ctl;
    struct found found = command_find(&line->words);
    ctl->command = found.command;
    for (size_t i = 0; i < line->given_count; i++)
        if (line->given[i].option == NULL)
            return unknown_option(line, &line->given[i]);
    if (found.command == NULL)
        return usage_unknown(&line->words);
    for (size_t i = found.used; i < line->words.count; i++)
        names_add(ctl->arena, &ctl->operands, line->words.items[i]);
    if (ctl->operands.count == 0 || found.command->operands != NULL)
        return CTL_DONE;
    ctl_complain("`%s` is too much: this command takes options only", ctl->operands.items[0]);
    return show_usage(line);
}

enum ctl_status arguments_parse(struct ctl *ctl, int count, char **arguments)
{
    struct line line = {.ctl = ctl, .arguments = arguments + 1, .end = arguments + count};
    line.given = postern_alloc(ctl->arena, (size_t)count * sizeof *line.given);
    sort_arguments(&line);
    enum ctl_status status = take_globals(&line);
    if (status != CTL_DONE || ctl->version)
        return status;
    if (ctl->help) {
        ctl->operands = line.words;
        return CTL_DONE;
    }
    status = take_words(&line);
    return status == CTL_DONE ? take_options(&line) : status;
}
