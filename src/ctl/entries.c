#include "ctl/entries.h"

#include "runtime/fiber.h"
#include "util/buffer.h"
#include "util/json.h"
#include "util/names.h"
#include "util/utf8.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH        1024
#define BULK_TIMEOUT 600 /* seconds */
#define TEXT_MAX     255 /* bytes; the columns' width */

/* --- reading --- */

static bool obeys(struct ctl *ctl, const struct entry_rule *rule, const char *text,
                  struct entry *entry)
{
    if (rule->accepts == NULL) {
        *entry = entry_read(ctl->arena, text, rule->forms);
        return entry->form != POSTERN_ACCOUNT_INVALID;
    }
    *entry = (struct entry){.text = postern_lower(ctl->arena, text)};
    return rule->accepts(entry->text);
}

static void take_item(struct ctl *ctl, const struct entry_rule *rule, struct input *input,
                      const struct input_item *item, struct listed *to)
{
    struct entry entry = {0};
    bool good = utf8_is_valid(item->text) && obeys(ctl, rule, item->text, &entry);
    if (!good)
        input_complain(ctl, input, item, "`%s` has none of the forms that are allowed here",
                       item->text);
    else if (strlen(entry.text) > TEXT_MAX)
        input_complain(ctl, input, item, "`%s` is longer than the %d bytes that can be stored",
                       item->text, TEXT_MAX);
    if (input->is_bad)
        return;
    *to = (struct listed){.text = entry.text, .list = item->list, .item = item};
    if (rule->priority != NULL)
        to->priority = rule->priority(entry.form);
}

static int compare(const void *a, const void *b)
{
    const struct listed *one = a, *other = b;
    int order = strcmp(one->text, other->text);
    return order != 0 ? order : (one->item > other->item) - (one->item < other->item);
}

/* In order, because two who write the same rows in different orders would lock each other out. */
static void settle(struct ctl *ctl, struct input *input, struct entries *entries)
{
    size_t kept = 0;
    if (entries->count > 1)
        qsort(entries->items, entries->count, sizeof *entries->items, compare);
    for (size_t i = 0; i < entries->count; i++) {
        const struct listed *each = &entries->items[i];
        const struct listed *last = kept > 0 ? &entries->items[kept - 1] : NULL;
        if (last == NULL || strcmp(last->text, each->text) != 0)
            entries->items[kept++] = *each;
        else if (last->list != each->list)
            input_complain(ctl, input, each->item, "`%s` is given for both lists",
                           each->item->text);
    }
    entries->count = kept;
}

static enum ctl_status refuse_input(struct ctl *ctl, const struct entry_rule *rule)
{
    ctl_complain("nothing was changed; allowed are %s",
                 rule->accepts != NULL ? rule->expected : entry_forms(ctl->arena, rule->forms));
    return CTL_USAGE;
}

enum ctl_status entries_read(struct ctl *ctl, const struct entry_rule *rule, struct input *input,
                             struct entries *entries)
{
    entries->count = input->count;
    entries->items = postern_alloc(ctl->arena, (input->count + 1) * sizeof *entries->items);
    for (size_t i = 0; i < input->count; i++)
        take_item(ctl, rule, input, &input->items[i], &entries->items[i]);
    if (!input->is_bad)
        settle(ctl, input, entries);
    return input->is_bad ? refuse_input(ctl, rule) : CTL_DONE;
}

enum ctl_status entries_named(struct ctl *ctl, const struct entry_rule *rule, struct input *input,
                              struct entries *entries)
{
    struct entry entry;
    const struct input_item *first = input->items;
    if (input->is_bad || input->count != 1 || first->line > 0 || !utf8_is_valid(first->text) ||
        obeys(ctl, rule, first->text, &entry))
        return entries_read(ctl, rule, input, entries);
    *entries = (struct entries){1, postern_alloc(ctl->arena, sizeof *entries->items)};
    entries->items[0] = (struct listed){
        .text = postern_lower(ctl->arena, first->text), .list = first->list, .item = first};
    return CTL_DONE;
}

enum ctl_status entries_refuse(struct ctl *ctl, const struct entry_rule *rule, struct input *input)
{
    struct entries again;
    return entries_read(ctl, rule, input, &again);
}

struct entries entries_of(struct ctl *ctl, const struct entries *entries, int list)
{
    struct entries part = {
        0, postern_alloc(ctl->arena, (entries->count + 1) * sizeof *entries->items)};
    for (size_t i = 0; i < entries->count; i++)
        if (entries->items[i].list == list)
            part.items[part.count++] = entries->items[i];
    return part;
}

static int compare_text(const void *text, const void *listed)
{
    return strcmp(text, ((const struct listed *)listed)->text);
}

const struct listed *entries_find(const struct entries *entries, const char *text)
{
    if (entries->count == 0)
        return NULL;
    return bsearch(text, entries->items, entries->count, sizeof *entries->items, compare_text);
}

const char *entries_text(struct ctl *ctl, const struct entries *entries, const char *plural)
{
    if (entries->count == 1)
        return entries->items[0].text;
    return postern_printf(ctl->arena, "%zu %s", entries->count, plural);
}

/* --- writing --- */

/* No other value is bytes. */
struct postern_value entries_json(void)
{
    return postern_bytes("", 0);
}

struct postern_value entries_names(void)
{
    return postern_texts((struct postern_names){0});
}

static struct postern_value batch_json(struct postern_arena *arena, const struct entries *batch)
{
    struct buffer text = {0};
    struct json json = json_on(&text);
    json_array(&json);
    for (size_t i = 0; i < batch->count; i++) {
        const struct listed *each = &batch->items[i];
        json_array(&json);
        json_string(&json, each->text);
        json_integer(&json, each->priority);
        json_string(&json, (const char[]){(char)each->list, '\0'});
        json_array_end(&json);
    }
    json_array_end(&json);
    struct postern_value value = postern_text(postern_strdup(arena, text.data));
    buffer_free(&text);
    return value;
}

static struct postern_value batch_names(struct postern_arena *arena, const struct entries *batch)
{
    struct postern_names names = {0};
    for (size_t i = 0; i < batch->count; i++)
        names_add(arena, &names, batch->items[i].text);
    return postern_texts(names);
}

static bool run_step(struct ctl *ctl, const char *database, const struct entries *batch,
                     const struct entries_step *step, int64_t *changed)
{
    struct postern_rows rows;
    struct postern_value *values = postern_alloc(ctl->arena, step->count * sizeof *values);
    for (size_t i = 0; i < step->count; i++) {
        values[i] = step->values[i];
        if (values[i].type == POSTERN_BYTES)
            values[i] = batch_json(ctl->arena, batch);
        else if (values[i].type == POSTERN_TEXTS)
            values[i] = batch_names(ctl->arena, batch);
    }
    enum postern_lookup lookup =
        ctl_query_on(ctl, database, step->statement, values, step->count, &rows);
    *changed = lookup == POSTERN_FOUND ? rows.changed : 0;
    return lookup != POSTERN_FAILED;
}

static void show_progress(size_t done, size_t count)
{
    if (count <= BATCH || !isatty(STDERR_FILENO))
        return;
    if (done < count)
        fprintf(stderr, "%zu of %zu\r", done, count);
    else
        fprintf(stderr, "%40s\r", "");
}

bool entries_write(struct ctl *ctl, const char *database, const struct entries *entries,
                   const struct entries_step *steps, size_t step_count, int64_t *changed)
{
    *changed = 0;
    ctl->deadline =
        fiber_now() + ctl_patience(ctl, entries->count > BATCH ? BULK_TIMEOUT : CTL_TIMEOUT);
    for (size_t done = 0; done < entries->count; done += BATCH) {
        struct entries batch = {entries->count - done, entries->items + done};
        if (batch.count > BATCH)
            batch.count = BATCH;
        show_progress(done, entries->count);
        int64_t step_changed = 0;
        bool good = true;
        for (size_t i = 0; good && i < step_count; i++)
            good = run_step(ctl, database, &batch, &steps[i], &step_changed);
        if (!good) {
            ctl_complain("%zu of %zu are done; the same command again does the rest", done,
                         entries->count);
            return false;
        }
        *changed += step_changed;
    }
    show_progress(entries->count, entries->count);
    return true;
}
