#include "floor-server.h"

#include "histogram.h"

#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CONNECTIONS 1000
#define NANOSECONDS     1000000000u

struct plan {
    struct floor_server server;
    unsigned connections;
    double seconds, warmup;
};

struct client {
    pthread_t thread;
    void *connection;
    uint64_t start, end; /* what is finished between them counts */
    struct histogram latency;
};

static atomic_uint_fast64_t next_number;

void floor_die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", floor_program, what, why);
    exit(1);
}

static uint64_t now_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

static void *client_run(void *argument)
{
    struct client *client = argument;
    uint64_t began = now_nanoseconds();
    while (began < client->end) {
        struct triplet triplet;
        triplet_make(&triplet, atomic_fetch_add(&next_number, 1));
        floor_upsert(client->connection, &triplet, (int64_t)time(NULL));
        uint64_t finished = now_nanoseconds();
        if (finished >= client->start && finished < client->end)
            histogram_record(&client->latency, finished - began);
        began = finished;
    }
    return NULL;
}

static void clients_run(struct client *clients, const struct plan *plan)
{
    uint64_t start = now_nanoseconds() + (uint64_t)(plan->warmup * NANOSECONDS);
    uint64_t end = start + (uint64_t)(plan->seconds * NANOSECONDS);
    for (unsigned i = 0; i < plan->connections; i++) {
        clients[i].start = start;
        clients[i].end = end;
        int failed = pthread_create(&clients[i].thread, NULL, client_run, &clients[i]);
        if (failed != 0)
            floor_die("starting a thread", strerror(failed));
    }
    for (unsigned i = 0; i < plan->connections; i++)
        pthread_join(clients[i].thread, NULL);
}

static void report(const struct histogram *latency, double seconds)
{
    printf("{\"upserts\": %llu, \"seconds\": %.3f, \"rate\": %.1f, \"latency_us\": {\"p50\": %.3f, "
           "\"p99\": %.3f, \"mean\": %.3f}}\n",
           (unsigned long long)latency->count, seconds, (double)latency->count / seconds,
           (double)histogram_quantile(latency, 0.5) / 1e3,
           (double)histogram_quantile(latency, 0.99) / 1e3, histogram_mean(latency) / 1e3);
}

static void measure(const struct plan *plan)
{
    struct client *clients = calloc(plan->connections, sizeof *clients);
    struct histogram *latency = calloc(1, sizeof *latency);
    if (clients == NULL || latency == NULL)
        floor_die("starting", "out of memory");
    for (unsigned i = 0; i < plan->connections; i++)
        clients[i].connection = floor_connect(&plan->server);
    clients_run(clients, plan);
    for (unsigned i = 0; i < plan->connections; i++) {
        histogram_merge(latency, &clients[i].latency);
        floor_disconnect(clients[i].connection);
    }
    report(latency, plan->seconds);
    free(latency);
    free(clients);
}

static int usage(FILE *out, int status)
{
    fprintf(out,
            "Usage: %s -H HOST [-P PORT] -D DATABASE -U USER [-c N] [-d SECONDS] [-w SECONDS]\n"
            "Writes new greylisting triplets into a database that posternctl has made, from N\n"
            "connections (32) for so long (3) after a warmup (0.5), and prints how many a\n"
            "second, as JSON. The password is taken from FLOOR_PASSWORD. HOST may be a path.\n",
            floor_program);
    return status;
}

static bool option_take(struct plan *plan, int option)
{
    switch (option) {
    case 'H':
        plan->server.host = optarg;
        return true;
    case 'P':
        plan->server.port = (unsigned)strtoul(optarg, NULL, 10);
        return true;
    case 'D':
        plan->server.name = optarg;
        return true;
    case 'U':
        plan->server.user = optarg;
        return true;
    case 'c':
        plan->connections = (unsigned)strtoul(optarg, NULL, 10);
        return plan->connections > 0 && plan->connections <= MAX_CONNECTIONS;
    case 'd':
        plan->seconds = strtod(optarg, NULL);
        return plan->seconds > 0 && plan->seconds < 86400;
    case 'w':
        plan->warmup = strtod(optarg, NULL);
        return plan->warmup >= 0 && plan->warmup < 86400;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    struct plan plan = {.connections = 32, .seconds = 3, .warmup = 0.5};
    plan.server.password = getenv("FLOOR_PASSWORD");
    int option;
    while ((option = getopt(argc, argv, "H:P:D:U:c:d:w:h")) != -1)
        if (!option_take(&plan, option))
            return option == 'h' ? usage(stdout, 0) : usage(stderr, 2);
    const struct floor_server *server = &plan.server;
    if (optind != argc || server->host == NULL || server->name == NULL || server->user == NULL)
        return usage(stderr, 2);
    measure(&plan);
    return 0;
}
