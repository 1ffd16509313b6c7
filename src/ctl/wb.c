#include "ctl/wb.h"

#include "ctl/output.h"
#include <inttypes.h>
#include <string.h>

static const struct {
    const char *option; /* and how WB_NAME calls it */
    int list;
} lists[] = {{"whitelist", WHITELIST}, {"blacklist", BLACKLIST}};
#define LISTS (sizeof lists / sizeof lists[0])

/* --- reading --- */

static enum ctl_status read_input(struct ctl *ctl, struct input *input)
{
    for (size_t i = 0; i < LISTS; i++)
        if (!input_add(ctl, input, postern_printf(ctl->arena, "--%s", lists[i].option),
                       ctl_values(ctl, lists[i].option), lists[i].list))
            return CTL_UNREACHABLE;
    return CTL_DONE;
}

static enum ctl_status require_options(struct ctl *ctl, struct input *input)
{
    if (wb_is_filtered(ctl))
        return read_input(ctl, input);
    ctl_complain("say what it is about with --whitelist or --blacklist, or both; `-` as a value "
                 "reads standard input");
    return CTL_USAGE;
}

enum ctl_status wb_read(struct ctl *ctl, const struct entry_rule *rule, struct entries *entries)
{
    struct input input = {0};
    enum ctl_status status = require_options(ctl, &input);
    return status == CTL_DONE ? entries_read(ctl, rule, &input, entries) : status;
}

enum ctl_status wb_named(struct ctl *ctl, const struct entry_rule *rule, struct input *input,
                         struct entries *entries)
{
    enum ctl_status status = require_options(ctl, input);
    return status == CTL_DONE ? entries_named(ctl, rule, input, entries) : status;
}

/* --- listing --- */

bool wb_is_filtered(const struct ctl *ctl)
{
    return ctl_option(ctl, "whitelist") != NULL || ctl_option(ctl, "blacklist") != NULL;
}

static bool is_wanted(const struct ctl *ctl, const struct entries *entries, const char *text,
                      const char *list)
{
    for (size_t i = 0; i < LISTS; i++) {
        if (ctl_option(ctl, lists[i].option) == NULL || strcmp(list, lists[i].option) != 0)
            continue;
        const struct listed *named = entries_find(entries, text);
        return ctl_values(ctl, lists[i].option).count == 0 ||
               (named != NULL && named->list == lists[i].list);
    }
    return false;
}

enum ctl_status wb_filter(struct ctl *ctl, const struct entry_rule *rule, struct postern_rows *rows,
                          size_t text, size_t list)
{
    struct input input = {0};
    struct entries entries;
    if (!wb_is_filtered(ctl))
        return CTL_DONE;
    enum ctl_status status = read_input(ctl, &input);
    if (status == CTL_DONE)
        status = entries_named(ctl, rule, &input, &entries);
    if (status != CTL_DONE)
        return status;
    size_t kept = 0, width = rows->columns;
    struct postern_value *cells =
        postern_alloc(ctl->arena, (rows->count * width + 1) * sizeof *cells);
    for (size_t i = 0; i < rows->count; i++)
        if (is_wanted(ctl, &entries, postern_row_text(rows, i, text),
                      postern_row_text(rows, i, list)))
            memcpy(cells + kept++ * width, rows->cells + i * width, width * sizeof *cells);
    rows->cells = cells;
    rows->count = kept;
    return CTL_DONE;
}

/* --- changing --- */

const char *wb_sentence(struct ctl *ctl, const struct entries *entries, const char *plural)
{
    size_t white = entries_of(ctl, entries, WHITELIST).count;
    size_t black = entries->count - white;
    if (entries->count == 0)
        return "there was nothing to list";
    if (white > 0 && black > 0)
        return postern_printf(ctl->arena, "%zu %s are whitelisted, %zu blacklisted", white, plural,
                              black);
    return postern_printf(ctl->arena, "%s %s %slisted", entries_text(ctl, entries, plural),
                          entries->count == 1 ? "is" : "are", white > 0 ? "white" : "black");
}

bool wb_delete(struct ctl *ctl, const char *database, const struct entries *entries,
               const struct entries_step *step, int64_t *changed)
{
    struct postern_value *values = postern_alloc(ctl->arena, step->count * sizeof *values);
    memcpy(values, step->values, step->count * sizeof *values);
    struct entries_step own = {step->statement, values, step->count};
    *changed = 0;
    for (size_t i = 0; i < LISTS; i++) {
        struct entries part = entries_of(ctl, entries, lists[i].list);
        int64_t part_changed;
        values[0] = postern_text((const char[]){(char)lists[i].list, '\0'});
        if (!entries_write(ctl, database, &part, &own, 1, &part_changed))
            return false;
        *changed += part_changed;
    }
    return true;
}

enum ctl_status wb_deleted(struct ctl *ctl, const struct entry_rule *rule, struct input *input,
                           const struct entries *entries, const char *noun, int64_t changed)
{
    if (changed == 0 && entries->count == 1 && entries_refuse(ctl, rule, input) != CTL_DONE)
        return CTL_USAGE;
    if (changed == 0)
        return output_change(ctl, 0,
                             "nothing of that is listed; `posternctl %s list` shows what is", noun);
    if (entries->count == 1)
        return output_change(ctl, changed, "%s is not listed any more", entries->items[0].text);
    return output_change(ctl, changed, "%" PRId64 " of %zu were listed and are not any more",
                         changed, entries->count);
}
