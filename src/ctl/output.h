/*
 * What commands print on stdout: one table, or one sentence; with --json exactly one document.
 * Control characters in data are escaped in both.
 */
#ifndef POSTERN_CTL_OUTPUT_H
#define POSTERN_CTL_OUTPUT_H

#include "ctl/ctl.h"
#include "util/json.h"

enum column_kind {
    COLUMN_TEXT,
    COLUMN_INTEGER,
    COLUMN_YES_NO,
    COLUMN_TIME,      /* Unix seconds; local time in tables, "-" for 0 */
    COLUMN_DURATION,  /* seconds; "1h30m" in tables */
    COLUMN_SIZE,      /* bytes; "5MB" in tables, rounded where that is shorter */
    COLUMN_LIMIT,     /* a number; "inherit" for -1 and "unlimited" for 0 in tables */
    COLUMN_SIZE_LIMIT /* the same of bytes */
};

struct column {
    const char *title; /* in tables */
    const char *key;   /* in JSON */
    enum column_kind kind;
};

/* Rows as a database answers them; they have as many columns. JSON: an array of objects. */
void output_table(struct ctl *ctl, const struct column *columns, const struct postern_rows *rows);

/*
 * The answer to a list command: output_table, also of no rows. CTL_NOTHING when nothing matched
 * what was asked for, CTL_UNREACHABLE for a failed lookup, of which nothing is printed.
 */
enum ctl_status output_list(struct ctl *ctl, const struct column *columns, size_t count,
                            enum postern_lookup lookup, struct postern_rows *rows, bool filtered);

/* One row, "title: value" line by line. JSON: an object. */
void output_record(struct ctl *ctl, const struct column *columns, const struct postern_rows *rows);

/* Text for a terminal or a file, with control characters escaped. */
void output_text(struct buffer *out, const char *text);

/*
 * How a change went: a sentence, which goes to stderr where nothing has changed. JSON: an object
 * of `changed` and `message`. Returns what the status is: CTL_NOTHING for no change.
 */
enum ctl_status output_change(struct ctl *ctl, int64_t changed, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a command that had nothing left to do: CTL_DONE, and 0 changes. */
enum ctl_status output_unchanged(struct ctl *ctl, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
