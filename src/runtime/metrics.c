/*
 * A series has one cell, a histogram a row of them, at the same place in every slot. Values
 * are added with relaxed atomics.
 *
 * A slot that is retired does not change any more, so the master sums it and the dead into
 * a second slot of the dead, and one store makes readers take that one and leave the retired
 * slot out. What they see is whole at every moment, even if the master ends in between; a
 * reader reads again when the view has changed meanwhile, which takes a child's death each time.
 */
#include "runtime/metrics.h"

#include "runtime/log.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CELLS       4096
#define SLOTS       512
#define NO_SLOT     SLOTS
#define SECONDS_MAX 1e6

static const struct {
    double seconds;
    const char *text;
} bounds[] = {
    {0.0001, "0.0001"}, {0.00025, "0.00025"}, {0.0005, "0.0005"}, {0.001, "0.001"},
    {0.0025, "0.0025"}, {0.005, "0.005"},     {0.01, "0.01"},     {0.025, "0.025"},
    {0.05, "0.05"},     {0.1, "0.1"},         {0.25, "0.25"},     {0.5, "0.5"},
    {1, "1"},           {2.5, "2.5"},         {5, "5"},           {10, "10"},
    {30, "30"},         {1e300, "+Inf"},
};

/* A histogram's cells: what fell between two bounds each, then the sum in nanoseconds. */
#define BUCKETS         (sizeof bounds / sizeof bounds[0])
#define HISTOGRAM_CELLS (BUCKETS + 1)

/* Metrics that were not registered or had no room, zeroed ones too, write here: nobody reads it. */
#define NOWHERE_CELLS HISTOGRAM_CELLS

struct slot {
    _Alignas(64) _Atomic uint64_t cells[CELLS];
};

struct shared {
    _Alignas(64) _Atomic uint64_t view;
    atomic_int slots; /* those below have been used; others are never touched */
    struct slot slot[SLOTS];
    struct slot dead[2];
};

/* What readers sum, in one word of shared memory. */
struct view {
    uint32_t changes;
    uint16_t without; /* a slot that dead has in it already, or NO_SLOT */
    uint16_t dead;    /* 0 or 1 */
};

struct series {
    enum metric_type type;
    char *name, *labels, *help;
    uint16_t cell;
    uint16_t next; /* of the same name, 0: none */
    bool first;    /* of its name */
};

static struct shared *shared;
static struct slot *own;
static bool taken[SLOTS]; /* the master's */

static struct series series[CELLS]; /* 0 is unused */
static uint16_t series_length = 1;
static uint16_t cells_length = NOWHERE_CELLS;
static uint16_t series_of_cell[CELLS];

/* --- series --- */

static size_t cells_of(enum metric_type type)
{
    return type == METRIC_HISTOGRAM ? HISTOGRAM_CELLS : 1;
}

static bool same_labels(const char *labels, const char *others)
{
    return strcmp(labels != NULL ? labels : "", others != NULL ? others : "") == 0;
}

/* The series, or 0; *previous is then the last one of the same name, or 0. */
static uint16_t series_find(const char *name, const char *labels, uint16_t *previous)
{
    *previous = 0;
    for (uint16_t i = 1; i < series_length; i++) {
        if (strcmp(series[i].name, name) != 0)
            continue;
        if (same_labels(series[i].labels, labels))
            return i;
        *previous = i;
    }
    return 0;
}

static char *text_keep(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL) {
        log_error("out of memory");
        abort();
    }
    return copy;
}

metric metric_register(enum metric_type type, const char *name, const char *labels,
                       const char *help)
{
    static bool full;
    size_t cells = cells_of(type);
    uint16_t previous, found = series_find(name, labels, &previous);
    if (found != 0) {
        assert(series[found].type == type);
        return (metric){series[found].cell};
    }
    if (cells_length + cells > CELLS) {
        if (!full)
            log_warning("too many metrics: %s and any other new series is not counted", name);
        full = true;
        return (metric){0};
    }
    assert(previous == 0 || series[previous].type == type);
    series[series_length] = (struct series){
        .type = type,
        .name = text_keep(name),
        .labels = labels != NULL && *labels != '\0' ? text_keep(labels) : NULL,
        .help = text_keep(help),
        .cell = cells_length,
        .first = previous == 0,
    };
    series[previous].next = series_length;
    series_of_cell[cells_length] = series_length++;
    cells_length += (uint16_t)cells;
    return (metric){series[series_length - 1].cell};
}

/* --- slots --- */

static struct view view_load(memory_order order)
{
    uint64_t word = atomic_load_explicit(&shared->view, order);
    return (struct view){(uint32_t)(word >> 32), (uint16_t)(word >> 16), (uint16_t)word};
}

/* All that was written before is seen by who sees the view, and nothing that comes after. */
static void view_change(uint16_t dead, uint16_t without)
{
    uint64_t changes = view_load(memory_order_relaxed).changes + UINT64_C(1);
    atomic_store_explicit(&shared->view, changes << 32 | (uint64_t)without << 16 | dead,
                          memory_order_release);
    atomic_thread_fence(memory_order_release);
}

void metrics_create(void)
{
    assert(shared == NULL);
    void *memory = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        log_error("no memory for the metrics (%zu bytes): %s", sizeof *shared, strerror(errno));
        exit(EXIT_FAILURE);
    }
    shared = memory;
    atomic_store(&shared->slots, 1);
    view_change(0, NO_SLOT);
    taken[0] = true;
    own = &shared->slot[0];
}

int metrics_slot_take(void)
{
    int slot = 1;
    while (slot < SLOTS && taken[slot])
        slot++;
    if (shared == NULL || slot == SLOTS)
        return -1;
    taken[slot] = true;
    if (slot >= atomic_load(&shared->slots))
        atomic_store(&shared->slots, slot + 1);
    return slot;
}

static bool is_cumulative(enum metric_type type)
{
    return type == METRIC_COUNTER || type == METRIC_HISTOGRAM;
}

static uint64_t cell_load(const struct slot *slot, size_t cell)
{
    return atomic_load_explicit(&slot->cells[cell], memory_order_relaxed);
}

static void cell_store(struct slot *slot, size_t cell, uint64_t value)
{
    atomic_store_explicit(&slot->cells[cell], value, memory_order_relaxed);
}

static void slot_sum(struct slot *sum, const struct slot *a, const struct slot *b)
{
    for (uint16_t i = 1; i < series_length; i++) {
        size_t end = series[i].cell + cells_of(series[i].type);
        for (size_t cell = series[i].cell; is_cumulative(series[i].type) && cell < end; cell++)
            cell_store(sum, cell, cell_load(a, cell) + cell_load(b, cell));
    }
}

void metrics_slot_retire(int slot)
{
    assert(slot > 0 && slot < SLOTS && taken[slot]);
    uint16_t dead = view_load(memory_order_relaxed).dead, other = !dead;
    slot_sum(&shared->dead[other], &shared->dead[dead], &shared->slot[slot]);
    view_change(other, (uint16_t)slot);
    for (size_t cell = 0; cell < cells_length; cell++)
        cell_store(&shared->slot[slot], cell, 0);
    view_change(other, NO_SLOT);
    taken[slot] = false;
}

void metrics_slot_use(int slot)
{
    assert(slot >= 0 && slot < SLOTS);
    if (shared != NULL)
        own = &shared->slot[slot];
}

int metrics_slots(void)
{
    return shared != NULL ? atomic_load_explicit(&shared->slots, memory_order_relaxed) : 0;
}

/* --- writing --- */

/* A state is kept as value + 1, so that 0 is of those who say nothing. */
static bool is_state(metric m)
{
    uint16_t i = series_of_cell[m.index];
    return i != 0 && series[i].type == METRIC_STATE;
}

static void cell_add(uint16_t cell, uint64_t amount)
{
    atomic_fetch_add_explicit(&own->cells[cell], amount, memory_order_relaxed);
}

void metric_add(metric m, uint64_t amount)
{
    if (own != NULL)
        cell_add(m.index, amount);
}

void metric_set(metric m, uint64_t value)
{
    if (own != NULL)
        atomic_store_explicit(&own->cells[m.index], is_state(m) ? (value != 0) + 1u : value,
                              memory_order_relaxed);
}

void metric_observe(metric m, double seconds)
{
    if (own == NULL)
        return;
    if (!(seconds > 0))
        seconds = 0;
    if (seconds > SECONDS_MAX)
        seconds = SECONDS_MAX;
    uint16_t bucket = 0;
    while (seconds > bounds[bucket].seconds)
        bucket++;
    cell_add((uint16_t)(m.index + bucket), 1);
    cell_add((uint16_t)(m.index + BUCKETS), (uint64_t)(seconds * 1e9 + 0.5));
}

/* --- reading --- */

/* 1 when no child says 0 and at least one says 1. */
static uint64_t state_read(size_t cell, struct view view)
{
    uint64_t state = 0;
    int slots = metrics_slots();
    for (int slot = 0; slot < slots; slot++) {
        uint64_t said = slot != view.without ? cell_load(&shared->slot[slot], cell) : 0;
        if (said == 1)
            return 0;
        if (said == 2)
            state = 1;
    }
    return state;
}

static uint64_t cell_sum(size_t cell, struct view view)
{
    uint64_t sum = cell_load(&shared->dead[view.dead], cell);
    int slots = metrics_slots();
    for (int slot = 0; slot < slots; slot++)
        if (slot != view.without)
            sum += cell_load(&shared->slot[slot], cell);
    return sum;
}

/* The sum of each cell of the series over all slots. */
static void series_read(const struct series *of, uint64_t sums[HISTOGRAM_CELLS])
{
    uint32_t changes;
    do {
        struct view view = view_load(memory_order_acquire);
        changes = view.changes;
        for (size_t i = 0; i < cells_of(of->type); i++)
            sums[i] = of->type == METRIC_STATE ? state_read(of->cell + i, view)
                                               : cell_sum(of->cell + i, view);
        atomic_thread_fence(memory_order_acquire);
    } while (view_load(memory_order_relaxed).changes != changes);
}

uint64_t metric_read(metric m)
{
    const struct series *of = &series[series_of_cell[m.index]];
    uint64_t sums[HISTOGRAM_CELLS], total = 0;
    if (shared == NULL || of->name == NULL)
        return 0;
    series_read(of, sums);
    if (of->type != METRIC_HISTOGRAM)
        return sums[0];
    for (size_t i = 0; i < BUCKETS; i++)
        total += sums[i];
    return total;
}

uint64_t metric_read_slot(metric m, int slot)
{
    if (shared == NULL || m.index == 0)
        return 0;
    uint64_t value = cell_load(&shared->slot[slot], m.index);
    return is_state(m) ? value == 2 : value;
}

/* --- printing --- */

static void print_head(FILE *out, const struct series *of)
{
    static const char *const words[] = {[METRIC_COUNTER] = "counter",
                                        [METRIC_GAUGE] = "gauge",
                                        [METRIC_STATE] = "gauge",
                                        [METRIC_HISTOGRAM] = "histogram"};
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", of->name, of->help, of->name, words[of->type]);
}

static void print_name(FILE *out, const struct series *of, const char *suffix)
{
    fprintf(out, "%s%s", of->name, suffix);
    if (of->labels != NULL)
        fprintf(out, "{%s}", of->labels);
    fputc(' ', out);
}

static void print_histogram(FILE *out, const struct series *of, const uint64_t *sums)
{
    const char *labels = of->labels != NULL ? of->labels : "";
    const char *comma = of->labels != NULL ? "," : "";
    uint64_t total = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        total += sums[i];
        fprintf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", of->name, labels, comma,
                bounds[i].text, total);
    }
    print_name(out, of, "_sum");
    fprintf(out, "%" PRIu64 ".%09" PRIu64 "\n", sums[BUCKETS] / 1000000000,
            sums[BUCKETS] % 1000000000);
    print_name(out, of, "_count");
    fprintf(out, "%" PRIu64 "\n", total);
}

static void print_series(FILE *out, const struct series *of)
{
    uint64_t sums[HISTOGRAM_CELLS];
    series_read(of, sums);
    if (of->type == METRIC_HISTOGRAM) {
        print_histogram(out, of, sums);
        return;
    }
    print_name(out, of, "");
    if (of->type == METRIC_GAUGE)
        fprintf(out, "%" PRId64 "\n", (int64_t)sums[0]);
    else
        fprintf(out, "%" PRIu64 "\n", sums[0]);
}

void metrics_print(FILE *out)
{
    for (uint16_t i = 1; shared != NULL && i < series_length; i++) {
        if (!series[i].first)
            continue;
        print_head(out, &series[i]);
        for (uint16_t one = i; one != 0; one = series[one].next)
            print_series(out, &series[one]);
    }
}
