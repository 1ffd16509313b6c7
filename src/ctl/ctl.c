#include "ctl/ctl.h"

#include "ctl/output.h"
#include "policy/module.h"
#include "util/buffer.h"
#include "util/quantity.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT     100
#define LIMIT_MAX 1000000
#define PAGE      20000

const char *ctl_option(const struct ctl *ctl, const char *name)
{
    const struct command_option *option = command_option(ctl->command, name);
    return option != NULL ? ctl->values[option - ctl->command->options] : NULL;
}

struct postern_names ctl_values(const struct ctl *ctl, const char *name)
{
    const struct command_option *option = command_option(ctl->command, name);
    return option != NULL ? ctl->lists[option - ctl->command->options] : (struct postern_names){0};
}

bool ctl_limit(const struct ctl *ctl, int64_t *limit)
{
    const char *text = ctl_option(ctl, "limit");
    *limit = LIMIT;
    if (text == NULL || (quantity_parse_integer(text, limit) && *limit > 0 && *limit <= LIMIT_MAX))
        return true;
    ctl_complain("--limit: expected a number from 1 to %d, not `%s`", LIMIT_MAX, text);
    return false;
}

double ctl_patience(const struct ctl *ctl, int usual)
{
    return ctl->timeout > 0 ? (double)ctl->timeout : usual;
}

void ctl_complain(const char *format, ...)
{
    struct buffer text = {0}, line = {0};
    va_list args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    buffer_text(&line, "posternctl: ");
    output_text(&line, text.data);
    fprintf(stderr, "%s\n", line.data);
    buffer_free(&text);
    buffer_free(&line);
}

enum ctl_status ctl_load_config(struct ctl *ctl)
{
    if (access(ctl->config_path, R_OK) < 0) {
        ctl_complain("cannot read %s: %s; name another configuration with -c FILE",
                     ctl->config_path, strerror(errno));
        return CTL_UNREACHABLE;
    }
    char *errors = NULL;
    ctl->config = config_load(ctl->config_path, &policy_modules, &errors);
    if (ctl->config != NULL)
        return CTL_DONE;
    char *rest = errors, *line;
    while ((line = strsep(&rest, "\n")) != NULL)
        if (line[0] != '\0')
            ctl_complain("%s", line);
    free(errors);
    ctl_complain("%s can't be used until that is corrected; `posternctl config check` tells",
                 ctl->config_path);
    return CTL_NOTHING;
}

enum postern_lookup ctl_query_on(struct ctl *ctl, const char *database,
                                 const struct postern_statement *statement,
                                 const struct postern_value *values, size_t count,
                                 struct postern_rows *rows)
{
    struct db_query query = {.statement = statement,
                             .values = values,
                             .count = count,
                             .arena = ctl->arena,
                             .deadline = ctl->deadline};
    struct postern_error error = {{0}};
    enum postern_lookup lookup =
        db_query(databases_find(&ctl->databases, database), &query, rows, &error);
    if (lookup == POSTERN_FAILED)
        ctl_complain("%s", error.text);
    return lookup;
}

enum postern_lookup ctl_query(struct ctl *ctl, const struct postern_statement *statement,
                              const struct postern_value *values, size_t count,
                              struct postern_rows *rows)
{
    return ctl_query_on(ctl, "iredapd", statement, values, count, rows);
}

/* In the arena the room doubles, so what is left behind is no more than what is kept. */
static void rows_append(struct ctl *ctl, struct postern_rows *rows, size_t *room,
                        const struct postern_rows *page)
{
    struct postern_value *cells = (struct postern_value *)rows->cells;
    if (rows->count + page->count > *room) {
        *room = 2 * (rows->count + page->count);
        cells = postern_alloc(ctl->arena, *room * page->columns * sizeof *cells);
        if (rows->count > 0)
            memcpy(cells, rows->cells, rows->count * rows->columns * sizeof *cells);
    }
    memcpy(cells + rows->count * page->columns, page->cells,
           page->count * page->columns * sizeof *cells);
    *rows = (struct postern_rows){
        .count = rows->count + page->count, .columns = page->columns, .cells = cells};
}

enum postern_lookup ctl_query_all(struct ctl *ctl, const char *database,
                                  const struct postern_statement *statement,
                                  const struct postern_value *values, size_t count,
                                  struct postern_rows *rows)
{
    struct postern_value *paged = postern_alloc(ctl->arena, (count + 2) * sizeof *paged);
    struct postern_rows page = {.count = PAGE};
    size_t room = 0;
    if (count > 0)
        memcpy(paged, values, count * sizeof *paged);
    paged[count] = postern_integer(PAGE);
    *rows = (struct postern_rows){0};
    while (page.count == PAGE) {
        paged[count + 1] = postern_integer((int64_t)rows->count);
        enum postern_lookup lookup =
            ctl_query_on(ctl, database, statement, paged, count + 2, &page);
        if (lookup == POSTERN_FAILED)
            return lookup;
        if (lookup == POSTERN_NOT_FOUND)
            break;
        rows_append(ctl, rows, &room, &page);
    }
    return rows->count > 0 ? POSTERN_FOUND : POSTERN_NOT_FOUND;
}
