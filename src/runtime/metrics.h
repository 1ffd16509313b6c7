/*
 * Counters in memory shared by the master and all its children.
 *
 * The master registers series (a metric's name and its labels) before it forks; each gets
 * a place that never changes for the life of the master, reloads included. Each child
 * writes a slot of its own, without locks; a reader sums all slots. When a child has ended
 * the master folds its counters into a slot of the dead, so no counter ever goes back.
 *
 * Metric names, labels and types are those of design.md, "Metrics"; docs/metrics.md
 * explains each. Durations are observed in seconds.
 */
#ifndef POSTERN_RUNTIME_METRICS_H
#define POSTERN_RUNTIME_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum metric_type {
    METRIC_COUNTER,
    METRIC_GAUGE,    /* summed over the living children */
    METRIC_STATE,    /* gauge of 0 or 1: 1 when no child says 0 and at least one says 1 */
    METRIC_HISTOGRAM /* of seconds */
};

/* Index of a series; valid in the master and in children forked afterwards. */
typedef struct {
    uint16_t index;
} metric;

/* In the master, once. Ends the process when there is no memory for it. */
void metrics_create(void);

/*
 * In the master, before fork: the series `name{labels}`, labels as they are printed
 * (`plugin="greylisting",action="defer"`, or NULL). Asking again returns the same one. When
 * the table is full the series is not counted, which is logged once.
 */
metric metric_register(enum metric_type type, const char *name, const char *labels,
                       const char *help);

/* In the master: a slot for a child about to be forked, -1 when all are taken. */
int metrics_slot_take(void);
/* In the master, after the child has ended: its counters are kept, its gauges dropped. */
void metrics_slot_retire(int slot);
/* In the child, after fork: this process writes that slot from now on. The master has 0. */
void metrics_slot_use(int slot);

/* This process's slot. Without metrics_create (posternctl, unit tests) nothing happens. */
void metric_add(metric m, uint64_t amount);
void metric_set(metric m, uint64_t value); /* gauges; STATE: 0 or 1 */
void metric_observe(metric m, double seconds);

/* Sum over all slots (a histogram's count). */
uint64_t metric_read(metric m);

/* Gauge `m` of the given slot: for balancing connections among workers. */
uint64_t metric_read_slot(metric m, int slot);
int metrics_slots(void); /* how many there are, 0 is the master's */

/* All series in the Prometheus text format, grouped by name, HELP and TYPE once each. */
void metrics_print(FILE *out);

#endif
