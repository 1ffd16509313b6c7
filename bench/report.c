#include "report.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    const char *name;
    double share;
} quantiles[] = {
    {"min", 0}, {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1},
};
#define QUANTILES (sizeof quantiles / sizeof *quantiles)

static double microseconds(const struct histogram *latency, double share)
{
    uint64_t value = share > 0 ? histogram_quantile(latency, share) : latency->min;
    return (double)value / 1e3;
}

double report_rate(const struct report *report)
{
    return report->seconds > 0 ? (double)report->result->in_time / report->seconds : 0;
}

static void print_actions(const struct load_result *result)
{
    for (int i = 0; i < LOAD_ACTIONS; i++)
        if (result->actions[i] > 0)
            printf("  %-10s %12" PRIu64 "\n", load_action_names[i], result->actions[i]);
}

void report_print(const struct report *report)
{
    const struct load_result *result = report->result;
    printf("%s, %zu connections, %s, seed %" PRIu64 "\n", report->address, report->connections,
           report->mix, report->seed);
    printf("requests     %12" PRIu64 " in %.2f s: %.0f a second\n", result->latency.count,
           report->seconds, report_rate(report));
    print_actions(result);
    printf("retried      %12" PRIu64 "\n", result->retried);
    printf("failed       %12" PRIu64 "\n", result->failed);
    printf("wrong        %12" PRIu64 "\n", result->wrong);
    if (report->idle > 0)
        printf("idle         %12zu, %zu lost\n", report->idle, report->idle_lost);
    printf("latency (us)");
    for (size_t i = 0; i < QUANTILES; i++)
        printf("  %s %.1f", quantiles[i].name, microseconds(&result->latency, quantiles[i].share));
    printf("  mean %.1f\n", histogram_mean(&result->latency) / 1e3);
    printf("generator    %12.2f s of CPU\n", report->cpu_seconds);
}

static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        if ((unsigned char)*text >= ' ')
            putchar(*text);
    }
    putchar('"');
}

static void print_named_string(const char *name, const char *text)
{
    printf("\"%s\": ", name);
    print_string(text);
    printf(", ");
}

static void print_latency_json(const struct histogram *latency)
{
    printf("\"latency_us\": {");
    for (size_t i = 0; i < QUANTILES; i++)
        printf("\"%s\": %.3f, ", quantiles[i].name, microseconds(latency, quantiles[i].share));
    printf("\"mean\": %.3f}", histogram_mean(latency) / 1e3);
}

static void print_actions_json(const struct load_result *result)
{
    const char *separator = "";
    printf("\"actions\": {");
    for (int i = 0; i < LOAD_ACTIONS; i++) {
        if (result->actions[i] == 0)
            continue;
        printf("%s\"%s\": %" PRIu64, separator, load_action_names[i], result->actions[i]);
        separator = ", ";
    }
    printf("}, ");
}

void report_print_json(const struct report *report)
{
    const struct load_result *result = report->result;
    printf("{");
    print_named_string("address", report->address);
    print_named_string("mix", report->mix);
    printf("\"connections\": %zu, \"idle\": %zu, \"idle_lost\": %zu, \"seed\": %" PRIu64 ", ",
           report->connections, report->idle, report->idle_lost, report->seed);
    printf("\"requests\": %" PRIu64 ", \"seconds\": %.3f, \"rate\": %.1f, ", result->latency.count,
           report->seconds, report_rate(report));
    print_actions_json(result);
    printf("\"retried\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"wrong\": %" PRIu64 ", ",
           result->retried, result->failed, result->wrong);
    print_named_string("trouble", result->trouble != NULL ? result->trouble : "");
    print_latency_json(&result->latency);
    printf(", \"generator_cpu_seconds\": %.3f}\n", report->cpu_seconds);
}
