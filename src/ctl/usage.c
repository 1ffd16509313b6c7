#include "ctl/usage.h"

#include "ctl/ctl.h"
#include "ctl/suggest.h"
#include "util/arena.h"
#include "util/names.h"
#include <stdio.h>
#include <string.h>

#define COLUMN 30 /* where help texts begin */

/* --- pieces --- */

static void indented(struct buffer *out, const char *left, const char *help)
{
    if (strlen(left) + 4 > COLUMN)
        buffer_printf(out, "  %s\n%*s%s\n", left, COLUMN, "", help);
    else
        buffer_printf(out, "  %-*s%s\n", COLUMN - 2, left, help);
}

static void option_line(struct buffer *out, const struct command_option *option, char letter)
{
    struct buffer left = {0};
    if (letter != 0)
        buffer_printf(&left, "-%c, ", letter);
    buffer_printf(&left, "--%s", option->name);
    if (option->value != NULL)
        buffer_printf(&left, " %s", option->value);
    indented(out, left.data, option->help);
    buffer_free(&left);
}

static void global_lines(struct buffer *out)
{
    buffer_text(out, "\nEvery command takes:\n");
    for (const struct global_option *each = global_options; each->option.name != NULL; each++)
        option_line(out, &each->option, each->letter);
}

static void command_name(struct buffer *out, const struct noun *noun, const struct command *command)
{
    buffer_printf(out, "%s%s%s", noun->name, command->verb[0] != '\0' ? " " : "", command->verb);
}

void usage_command(struct buffer *out, const struct noun *noun, const struct command *command)
{
    buffer_text(out, "posternctl ");
    command_name(out, noun, command);
    const struct command_option *option = command->options;
    for (; option != NULL && option->name != NULL; option++)
        buffer_printf(out, option->required ? " --%s%s%s" : " [--%s%s%s]", option->name,
                      option->value != NULL ? " " : "", option->value != NULL ? option->value : "");
    if (command->operands != NULL)
        buffer_printf(out, " %s", command->operands);
}

/* --- help --- */

static void help_all(struct buffer *out)
{
    buffer_text(out, "usage: posternctl [-c FILE] [--json] NOUN [VERB] [--OPTION VALUE ...]\n\n");
    for (size_t i = 0; nouns[i] != NULL; i++)
        for (const struct command *each = nouns[i]->commands; each->verb != NULL; each++) {
            struct buffer name = {0};
            command_name(&name, nouns[i], each);
            indented(out, name.data, each->help);
            buffer_free(&name);
        }
    global_lines(out);
    buffer_text(out, "\n`posternctl help NOUN [VERB]` says more; so does posternctl(8).\n");
}

static void help_command(struct buffer *out, const struct noun *noun, const struct command *command)
{
    buffer_text(out, "usage: ");
    usage_command(out, noun, command);
    buffer_printf(out, "\n\n  %s\n", command->help);
    const struct command_option *option = command->options;
    if (option != NULL && option->name != NULL)
        buffer_text(out, "\nIts options:\n");
    for (; option != NULL && option->name != NULL; option++)
        option_line(out, option, 0);
    global_lines(out);
}

/* The commands of a noun whose verbs begin with what was said of one. */
static void help_noun(struct buffer *out, const struct noun *noun,
                      const struct postern_names *words, size_t used)
{
    buffer_printf(out, "posternctl %s: %s\n\n", noun->name, noun->help);
    for (const struct command *each = noun->commands; each->verb != NULL; each++) {
        if (command_words(each, words, 1) + 1 < used)
            continue;
        buffer_text(out, "  ");
        usage_command(out, noun, each);
        buffer_printf(out, "\n      %s\n", each->help);
    }
    global_lines(out);
}

void usage_help(struct buffer *out, const struct postern_names *words)
{
    struct found found = command_find(words);
    if (found.command != NULL)
        help_command(out, found.noun, found.command);
    else if (found.noun != NULL)
        help_noun(out, found.noun, words, found.used);
    else
        help_all(out);
}

/* --- what is wrong --- */

static const char *verb_word(struct postern_arena *arena, const char *verb, size_t index)
{
    for (; index > 0; index--) {
        verb += strcspn(verb, " ");
        verb += *verb == ' ';
    }
    return postern_strndup(arena, verb, strcspn(verb, " "));
}

/* What could stand in the place of the first word that names nothing. */
static struct postern_names possible_words(struct postern_arena *arena,
                                           const struct postern_names *words, struct found found)
{
    struct postern_names names = {0};
    for (size_t i = 0; found.noun == NULL && nouns[i] != NULL; i++)
        names_add(arena, &names, nouns[i]->name);
    if (found.noun == NULL)
        return names;
    for (const struct command *each = found.noun->commands; each->verb != NULL; each++) {
        size_t matched = command_words(each, words, 1);
        const char *next = verb_word(arena, each->verb, matched);
        if (matched + 1 == found.used && next[0] != '\0' && !names_hold(&names, next))
            names_add(arena, &names, next);
    }
    return names;
}

static void complain_word(struct postern_arena *arena, const struct postern_names *words,
                          struct found found)
{
    struct postern_names names = possible_words(arena, words, found);
    const char *what = found.noun == NULL ? "command" : "verb";
    if (found.used == words->count) {
        ctl_complain("a %s is missing", what);
        return;
    }
    const char *word = words->items[found.used];
    const char *meant = suggest(word, &names);
    if (meant != NULL)
        ctl_complain("unknown %s `%s`; did you mean `%s`?", what, word, meant);
    else
        ctl_complain("unknown %s `%s`; see below for what there is", what, word);
}

enum ctl_status usage_unknown(const struct postern_names *words)
{
    struct postern_arena *arena = arena_new();
    struct buffer usage = {0};
    complain_word(arena, words, command_find(words));
    usage_help(&usage, words);
    fprintf(stderr, "\n%s", usage.data);
    buffer_free(&usage);
    arena_free(arena);
    return CTL_USAGE;
}

/* --- completion --- */

void usage_completion(struct buffer *out)
{
    for (size_t i = 0; nouns[i] != NULL; i++)
        for (const struct command *each = nouns[i]->commands; each->verb != NULL; each++) {
            command_name(out, nouns[i], each);
            const struct command_option *option = each->options;
            for (; option != NULL && option->name != NULL; option++)
                buffer_printf(out, " --%s%s", option->name, option->value != NULL ? "=" : "");
            buffer_char(out, '\n');
        }
    for (const struct global_option *each = global_options; each->option.name != NULL; each++)
        buffer_printf(out, "--%s%s\n", each->option.name, each->option.value != NULL ? "=" : "");
}
