/* Latencies in logarithmic buckets: under 1 % error from 1 ns to 18 minutes in 35 KB. */
#ifndef POSTERN_BENCH_HISTOGRAM_H
#define POSTERN_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_DIGITS  7  /* binary digits kept of a value */
#define HISTOGRAM_WIDTH   40 /* binary digits of the largest value; larger ones count as it */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_WIDTH - HISTOGRAM_DIGITS + 1) << HISTOGRAM_DIGITS)

/* A zeroed structure is an empty histogram. */
struct histogram {
    uint64_t count, sum, min, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that this share (0 to 1) of the recorded ones do not exceed; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);
double histogram_mean(const struct histogram *histogram);

#endif
