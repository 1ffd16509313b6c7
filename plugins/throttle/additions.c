/*
 * Messages that are counted at once are merged: if all that they add fits together, each would have
 * fitted in whatever order they came, so one statement can count them all. If it does not, some may
 * fit and some not, and each is tried alone.
 */
#include "throttle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COUNTERS_MAX 64 /* in a merged statement: servers compare each with all */

static int compare(const void *a, const void *b)
{
    const struct addition *left = a, *right = b;
    if (left->tid != right->tid)
        return left->tid < right->tid ? -1 : 1;
    return strcmp(left->key, right->key);
}

static const char *number(struct postern_arena *arena, int64_t value)
{
    return postern_printf(arena, "%" PRId64, value);
}

struct postern_value *additions_values(struct postern_arena *arena, struct addition *additions,
                                       size_t count, int64_t now)
{
    struct postern_value *values = postern_alloc(arena, ADDED_VALUES * sizeof *values);
    const char **lists[ADDED_NOW];
    qsort(additions, count, sizeof *additions, compare);
    for (int list = 0; list < ADDED_NOW; list++) {
        lists[list] = postern_alloc(arena, (count + 1) * sizeof *lists[list]);
        values[list] = postern_texts((struct postern_names){count, lists[list]});
    }
    for (size_t i = 0; i < count; i++) {
        const struct addition *addition = &additions[i];
        lists[ADDED_NAMES][i] = addition->name;
        lists[ADDED_TIDS][i] = number(arena, addition->tid);
        lists[ADDED_KEYS][i] = addition->key;
        lists[ADDED_MESSAGES][i] = number(arena, addition->messages);
        lists[ADDED_ROOM_MESSAGES][i] = number(arena, addition->room_messages);
        lists[ADDED_ROOM_SIZE][i] = number(arena, addition->room_size);
        lists[ADDED_EXPIRED][i] = number(arena, addition->expired);
        lists[ADDED_PERIODS][i] = number(arena, addition->period);
        lists[ADDED_SIZES][i] = number(arena, addition->size);
    }
    values[ADDED_NOW] = postern_integer(now);
    values[ADDED_COUNT] = postern_integer((int64_t)count);
    return values;
}

/* --- merging --- */

static int64_t number_at(const struct postern_value *values, enum addition_value list, size_t i)
{
    return strtoll(values[list].texts[i], NULL, 10);
}

static struct addition addition_read(const struct postern_value *values, size_t i)
{
    return (struct addition){.name = values[ADDED_NAMES].texts[i],
                             .key = values[ADDED_KEYS].texts[i],
                             .tid = number_at(values, ADDED_TIDS, i),
                             .messages = number_at(values, ADDED_MESSAGES, i),
                             .size = number_at(values, ADDED_SIZES, i),
                             .room_messages = number_at(values, ADDED_ROOM_MESSAGES, i),
                             .room_size = number_at(values, ADDED_ROOM_SIZE, i),
                             .expired = number_at(values, ADDED_EXPIRED, i),
                             .period = number_at(values, ADDED_PERIODS, i)};
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The room that is left where others add as well; INT64_MAX stays what it is. */
static int64_t room_beside(int64_t room, int64_t others)
{
    return room == INT64_MAX ? room : room - others;
}

/* The same counter twice. False when it can't be one. */
static bool addition_join(struct addition *addition, const struct addition *other)
{
    int64_t messages, size;
    if (addition->period != other->period ||
        __builtin_add_overflow(addition->messages, other->messages, &messages) ||
        __builtin_add_overflow(addition->size, other->size, &size))
        return false;
    addition->room_messages = smaller(room_beside(addition->room_messages, other->messages),
                                      room_beside(other->room_messages, addition->messages));
    addition->room_size = smaller(room_beside(addition->room_size, other->size),
                                  room_beside(other->room_size, addition->size));
    addition->messages = messages;
    addition->size = size;
    addition->expired = smaller(addition->expired, other->expired);
    return true;
}

static bool has_room(const struct addition *addition)
{
    return addition->room_messages >= 0 && addition->room_size >= 0;
}

/* How many there are without repeats; 0 when they can't go together. */
static size_t additions_join(struct addition *additions, size_t count)
{
    size_t last = 0;
    qsort(additions, count, sizeof *additions, compare);
    for (size_t i = 1; i < count; i++) {
        if (compare(&additions[last], &additions[i]) != 0)
            additions[++last] = additions[i];
        else if (!addition_join(&additions[last], &additions[i]))
            return 0;
    }
    return last + 1;
}

const struct postern_value *additions_merge(struct postern_arena *arena,
                                            const struct postern_value *const *given,
                                            size_t messages)
{
    struct addition additions[COUNTERS_MAX];
    size_t count = 0;
    int64_t now = 0;
    for (size_t i = 0; i < messages; i++) {
        if (given[i][ADDED_NAMES].length > COUNTERS_MAX - count)
            return NULL;
        for (size_t k = 0; k < given[i][ADDED_NAMES].length; k++)
            additions[count++] = addition_read(given[i], k);
        if (given[i][ADDED_NOW].integer > now)
            now = given[i][ADDED_NOW].integer;
    }
    count = additions_join(additions, count);
    for (size_t i = 0; i < count; i++)
        if (!has_room(&additions[i]))
            return NULL;
    return count > 0 ? additions_values(arena, additions, count, now) : NULL;
}
