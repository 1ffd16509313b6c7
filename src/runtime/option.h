/*
 * Options: named, typed fields of a structure (struct postern_option), read from text and
 * written as text. postern.conf's own keys and those of plugins are the same thing.
 */
#ifndef POSTERN_RUNTIME_OPTION_H
#define POSTERN_RUNTIME_OPTION_H

#include "util/buffer.h"
#include <postern/plugin.h>

/* NULL when the table (which may be NULL) has none of that name. */
const struct postern_option *option_find(const struct postern_option *table, const char *name);

/* The names of a table: "block_expire, message". */
void option_names(const struct postern_option *table, struct buffer *out);

/*
 * Sets one field of the structure `options` from the texts given for it: one, or any number for
 * a list. What is kept is copied to arena. False, with error saying what was expected, when they
 * don't fit; the field is then as it was.
 */
bool option_parse(struct postern_arena *arena, const struct postern_option *option,
                  const struct postern_names *values, void *options, struct postern_error *error);

/* The same with the option's fallback text, in which commas separate the items of a list. */
bool option_parse_fallback(struct postern_arena *arena, const struct postern_option *option,
                           void *options, struct postern_error *error);

/* The field as it would be written in postern.conf: 15m, 5MB, "text", {"a", "b"}. */
void option_text(const struct postern_option *option, const void *options, struct buffer *out);

/*
 * A new options structure of the plugin with every field at its fallback; NULL when the plugin
 * has none. False when its table can't be used: unknown type, a field outside the structure,
 * a fallback that doesn't fit.
 */
bool option_defaults(struct postern_arena *arena, const struct postern_plugin *plugin,
                     void **options, struct postern_error *error);

#endif
