/*
 * What posternctl can do, as tables: parsing, usage, help and completion are all made of them.
 * A noun lives in ctl_NOUN.c and has one line in command.c.
 */
#ifndef POSTERN_CTL_COMMAND_H
#define POSTERN_CTL_COMMAND_H

#include <postern/address.h>
#include <stdbool.h>
#include <stddef.h>

struct ctl;

enum ctl_status {
    CTL_DONE = 0,
    CTL_NOTHING = 1,    /* nothing matched, or it was refused */
    CTL_USAGE = 2,      /* wrong usage */
    CTL_UNREACHABLE = 3 /* the database, the daemon or a file it needs */
};

/* How many values follow an option that takes any; those of several end at the next option. */
enum option_values { VALUES_ONE, VALUES_SEVERAL, VALUES_ANY /* also none */ };

/* An option of the same name takes a value in every command or in none, and several in every or in
 * none. */
struct command_option {
    const char *name;  /* without the dashes; NULL ends a table */
    const char *value; /* what the usage calls its value; NULL: a switch */
    const char *help;
    bool required;
    enum option_values values;
};

/* What is ready before the function is called. */
enum command_needs {
    NEEDS_NOTHING,
    NEEDS_CONFIG,
    NEEDS_DATABASE, /* iredapd, migrated or not */
    NEEDS_MIGRATED, /* iredapd with what migration adds to iRedAPD's tables */
    NEEDS_AMAVISD
};

struct command {
    const char *verb;     /* one or two words; "" when the noun is the command; NULL ends a table */
    const char *operands; /* as the usage shows them; NULL: there are none */
    const char *help;     /* one line */
    const struct command_option *options; /* may be NULL */
    enum command_needs needs;
    enum ctl_status (*run)(struct ctl *ctl);
};

struct noun {
    const char *name;
    const char *help; /* one line */
    const struct command *commands;
};

extern const struct noun *const nouns[]; /* NULL at the end */

/* The options that every command has; `letter` is their short form, if they have one. */
struct global_option {
    struct command_option option;
    char letter;
};
extern const struct global_option global_options[]; /* ends with a NULL name */

/* How many words of the command's verb the words from `first` on begin with. */
size_t command_words(const struct command *command, const struct postern_names *words,
                     size_t first);

/* What words begin with: as far as they name something. */
struct found {
    const struct noun *noun;       /* NULL: the first word names none */
    const struct command *command; /* NULL: they don't name all of a verb */
    size_t used;                   /* words of the noun and of its verb */
};
struct found command_find(const struct postern_names *words);

/* NULL when there is none: of one command, of any command or all, by its short form. */
const struct command_option *command_option(const struct command *command, const char *name);
const struct command_option *option_find_any(const char *name);
const struct command_option *option_find_letter(char letter);

#endif
