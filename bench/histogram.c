#include "histogram.h"

#include <math.h>
#include <stddef.h>

#define SUB_BUCKETS ((uint64_t)1 << HISTOGRAM_DIGITS)
#define LARGEST     (((uint64_t)1 << HISTOGRAM_WIDTH) - 1)

static size_t bucket_of(uint64_t value)
{
    if (value < SUB_BUCKETS)
        return value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_DIGITS;
    return ((size_t)shift << HISTOGRAM_DIGITS) + (value >> shift);
}

static uint64_t bucket_end(size_t bucket)
{
    if (bucket < SUB_BUCKETS)
        return bucket;
    unsigned shift = (unsigned)(bucket >> HISTOGRAM_DIGITS) - 1;
    uint64_t top = SUB_BUCKETS + (bucket & (SUB_BUCKETS - 1));
    return ((top + 1) << shift) - 1;
}

static void widen(struct histogram *histogram, uint64_t min, uint64_t max)
{
    if (histogram->count == 0 || min < histogram->min)
        histogram->min = min;
    if (max > histogram->max)
        histogram->max = max;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    if (value > LARGEST)
        value = LARGEST;
    widen(histogram, value, value);
    histogram->count++;
    histogram->sum += value;
    histogram->buckets[bucket_of(value)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    if (from->count == 0)
        return;
    widen(into, from->min, from->max);
    into->count += from->count;
    into->sum += from->sum;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)ceil(share * (double)histogram->count);
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted && seen > 0)
            return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
    }
    return 0;
}

double histogram_mean(const struct histogram *histogram)
{
    return histogram->count == 0 ? 0 : (double)histogram->sum / (double)histogram->count;
}
