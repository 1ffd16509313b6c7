/* What a load run prints. */
#ifndef POSTERN_BENCH_REPORT_H
#define POSTERN_BENCH_REPORT_H

#include "load.h"

struct report {
    const char *address, *mix;
    size_t connections, idle, idle_lost;
    uint64_t seed;
    double seconds;     /* from the end of the warm-up to the end or the last reply */
    double cpu_seconds; /* of this process, warm-up included */
    const struct load_result *result;
};

double report_rate(const struct report *report); /* replies a second */
void report_print(const struct report *report);
void report_print_json(const struct report *report);

#endif
