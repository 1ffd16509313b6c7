/*
 * A file in libconfuse's syntax as what it says, before what it means: sections, keys and their
 * texts, each with its line; and the problems found in it.
 */
#ifndef POSTERN_RUNTIME_CONFIG_FILE_H
#define POSTERN_RUNTIME_CONFIG_FILE_H

#include "util/buffer.h"
#include <postern/address.h>
#include <postern/arena.h>
#include <postern/verdict.h>

struct config_problems {
    struct postern_arena *arena;
    const char *path;
    struct config_problem *list;
};

/* line 0: of the file as a whole, said without path and line. */
void config_problem_add(struct config_problems *problems, int line, const char *format, ...)
    POSTERN_PRINTF(3, 4);

/* "PATH:LINE: text" of each, in the order of the lines. NULL when there are none; the caller
 * frees it. */
char *config_problems_text(struct config_problems *problems);

/* KEY = VALUE, or KEY = {VALUE, ...} */
struct config_setting {
    const char *key;
    int line; /* of the last value */
    struct postern_names values;
    const int *lines; /* of each value */
};

/* NAME { ... } or NAME "TITLE" { ... }; the top level is the first section and has no name. */
struct config_section {
    const char *name;
    const char *title; /* "" without one */
    int line;
    struct config_setting *settings;
    size_t count;
};

struct config_file {
    struct config_section *sections;
    size_t count;
};

struct config_section_kind {
    const char *name; /* NULL ends a table */
    bool titled;
};

/*
 * Reads problems->path; only sections of the given kinds are sections, any key is a key. What is
 * read before a syntax error is returned with it.
 */
struct config_file config_file_read(const struct config_section_kind *kinds,
                                    struct config_problems *problems);

/* The whole of a file of at most `limit` bytes; NULL with errno set (EFBIG when it is larger). */
char *config_read_all(struct postern_arena *arena, const char *path, size_t limit, size_t *length);

/* NULL when the section has no such key. */
const struct config_setting *config_setting_find(const struct config_section *section,
                                                 const char *key);

#endif
