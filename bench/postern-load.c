/*
 * postern-load: how many policy requests a server answers, and how soon.
 *
 * Exit status 0 when every request was answered properly, 1 when one was not or the server
 * could not be reached, 2 for wrong usage.
 */
#include "load.h"
#include "report.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define THREADS_MAX     64
#define CONNECTIONS_MAX 1000000

struct options {
    const char *address, *mix;
    uint64_t connections, requests, seed, threads, idle;
    double seconds, warmup, timeout;
    bool json, idle_request;
};

struct thread {
    pthread_t id;
    unsigned number;
    struct load_plan plan;
    struct load_result result;
};

static atomic_bool interrupted;

static void print_help(void)
{
    printf(
        "Usage: postern-load [OPTION]...\n"
        "Sends requests of the Postfix policy protocol in a closed loop and measures the replies.\n"
        "\n"
        "  -a, --address ADDR       HOST:PORT, [IPv6]:PORT or unix:/path (127.0.0.1:7777)\n"
        "  -c, --connections N      connections, each with one request under way (32)\n"
        "  -d, --duration SECONDS   how long to measure (5)\n"
        "  -n, --requests N         measure this many requests instead\n"
        "  -m, --mix MIX            kinds of requests, e.g. first-seen=8,retry=1 (dunno)\n"
        "  -s, --seed N             same seed, same requests (a new one each time)\n"
        "  -p, --threads N          threads of the generator (1)\n"
        "      --warmup SECONDS     load that is not measured, before (0)\n"
        "      --timeout SECONDS    a reply that takes longer counts as a lost connection (20)\n"
        "      --idle N             hold N more connections that say nothing; -c 0 for these "
        "alone\n"
        "      --idle-request       each of them makes one request of the mix first\n"
        "      --json               print one JSON document\n"
        "  -h, --help               this text\n"
        "\n"
        "Kinds of requests:\n");
    mix_print_kinds();
    printf("\nA connection lost before the reply is opened again and the request sent once more,\n"
           "as Postfix does (retried); if that fails too, the request has failed.\n"
           "Exit status: 0 all answered, 1 failed or wrong replies, 2 wrong usage.\n");
}

static int wrong_usage(const char *problem, const char *value)
{
    fprintf(stderr, "postern-load: %s: %s\nTry 'postern-load --help'.\n", value, problem);
    return 2;
}

static bool parse_count(uint64_t *number, const char *text, uint64_t most)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *number <= most;
}

static bool parse_seconds(double *seconds, const char *text)
{
    char *end;
    *seconds = strtod(text, &end);
    return end != text && *end == '\0' && *seconds >= 0 && *seconds <= 1e6;
}

enum { OPTION_WARMUP = 256, OPTION_TIMEOUT, OPTION_IDLE, OPTION_IDLE_REQUEST, OPTION_JSON };

static const struct option long_options[] = {
    {"address", required_argument, NULL, 'a'},
    {"connections", required_argument, NULL, 'c'},
    {"duration", required_argument, NULL, 'd'},
    {"requests", required_argument, NULL, 'n'},
    {"mix", required_argument, NULL, 'm'},
    {"seed", required_argument, NULL, 's'},
    {"threads", required_argument, NULL, 'p'},
    {"warmup", required_argument, NULL, OPTION_WARMUP},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"idle", required_argument, NULL, OPTION_IDLE},
    {"idle-request", no_argument, NULL, OPTION_IDLE_REQUEST},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static bool option_take(struct options *options, int option, const char *value)
{
    switch (option) {
    case 'a':
        options->address = value;
        return true;
    case 'm':
        options->mix = value;
        return true;
    case 'c':
        return parse_count(&options->connections, value, CONNECTIONS_MAX);
    case 'n':
        return parse_count(&options->requests, value, UINT64_MAX) && options->requests > 0;
    case 's':
        return parse_count(&options->seed, value, UINT64_MAX);
    case 'p':
        return parse_count(&options->threads, value, THREADS_MAX) && options->threads > 0;
    case 'd':
        return parse_seconds(&options->seconds, value) && options->seconds > 0;
    case OPTION_WARMUP:
        return parse_seconds(&options->warmup, value);
    case OPTION_TIMEOUT:
        return parse_seconds(&options->timeout, value) && options->timeout > 0;
    case OPTION_IDLE:
        return parse_count(&options->idle, value, CONNECTIONS_MAX);
    case OPTION_IDLE_REQUEST:
        return options->idle_request = true;
    case OPTION_JSON:
        return options->json = true;
    }
    return false;
}

/* Returns -1 to go on, else the exit status. */
static int options_read(struct options *options, int argc, char **argv)
{
    int option;
    while ((option = getopt_long(argc, argv, "a:c:d:n:m:s:p:h", long_options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return 0;
        }
        if (option == '?')
            return 2;
        if (!option_take(options, option, optarg))
            return wrong_usage("not a usable value", optarg);
    }
    if (optind < argc)
        return wrong_usage("no such argument", argv[optind]);
    if (options->connections == 0 && options->idle == 0)
        return wrong_usage("no connections to open", "-c 0");
    return -1;
}

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = true;
}

/* The first signal ends the run with a report, a second one at once. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESETHAND | SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static uint64_t nanoseconds(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

static size_t share_of(size_t whole, size_t parts, size_t part)
{
    return whole / parts + (part < whole % parts);
}

static void *thread_main(void *argument)
{
    struct thread *thread = argument;
    load_run(&thread->plan, thread->number, &thread->result);
    return NULL;
}

static void plan_split(struct thread *threads, const struct load_plan *plan, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        threads[i].number = (unsigned)i;
        threads[i].plan = *plan;
        threads[i].plan.connections = share_of(plan->connections, count, i);
        threads[i].plan.requests = share_of(plan->requests, count, i);
    }
}

/* Each needs a connection and, if they are counted, a request. */
static size_t threads_useful(const struct load_plan *plan, size_t count)
{
    if (count > plan->connections)
        count = plan->connections;
    return plan->requests > 0 && count > plan->requests ? plan->requests : count;
}

static void run_threads(const struct load_plan *plan, size_t count, struct load_result *result)
{
    struct thread *threads = calloc(count, sizeof *threads);
    if (threads == NULL) {
        perror("postern-load");
        exit(1);
    }
    plan_split(threads, plan, count);
    for (size_t i = 1; i < count; i++)
        if (pthread_create(&threads[i].id, NULL, thread_main, &threads[i]) != 0) {
            perror("postern-load: starting a thread");
            exit(1);
        }
    thread_main(&threads[0]);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            pthread_join(threads[i].id, NULL);
        load_result_merge(result, &threads[i].result);
    }
    free(threads);
}

static void wait_until(uint64_t end)
{
    while (!interrupted && load_now() < end)
        usleep(20000);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* A run cut short or ended by its number of requests lasted until its last reply. */
static double seconds_measured(const struct load_plan *plan, const struct load_result *result)
{
    bool full = plan->requests == 0 && !interrupted;
    uint64_t end = full || result->last_reply < plan->warm ? plan->end : result->last_reply;
    return (double)(end - plan->warm) / 1e9;
}

static void schedule(struct load_plan *plan, const struct options *options)
{
    plan->start = load_now();
    plan->warm = plan->start + nanoseconds(options->warmup);
    plan->end = options->requests > 0 ? UINT64_MAX : plan->warm + nanoseconds(options->seconds);
}

static bool plan_can_start(const struct load_plan *plan, const char *address)
{
    struct load_idle probe;
    bool ok = load_idle_open(&probe, plan, 1, false);
    load_idle_close(&probe);
    if (!ok)
        fprintf(stderr, "postern-load: %s does not accept connections; does the server run?\n",
                address);
    return ok;
}

static int run(const struct options *options, struct load_plan *plan)
{
    struct load_idle idle = {0};
    if (!plan_can_start(plan, options->address))
        return 1;
    if (options->idle > 0) {
        if (!load_idle_open(&idle, plan, options->idle, options->idle_request))
            return 1;
        fprintf(stderr, "holding %zu idle connections\n", idle.count);
    }

    struct load_result *result = calloc(1, sizeof *result);
    schedule(plan, options);
    if (options->connections > 0)
        run_threads(plan, threads_useful(plan, options->threads), result);
    else
        wait_until(plan->end);

    struct report report = {
        .address = options->address,
        .mix = options->mix,
        .connections = options->connections,
        .idle = idle.count,
        .idle_lost = load_idle_lost(&idle),
        .seed = options->seed,
        .seconds = seconds_measured(plan, result),
        .cpu_seconds = cpu_seconds(),
        .result = result,
    };
    (options->json ? report_print_json : report_print)(&report);
    if (result->trouble != NULL)
        fprintf(stderr, "postern-load: first trouble: %s\n", result->trouble);
    bool clean = result->failed == 0 && result->wrong == 0 && report.idle_lost == 0;
    load_idle_close(&idle);
    free(result->trouble);
    free(result);
    return clean ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options options = {
        .address = "127.0.0.1:7777",
        .mix = "dunno",
        .connections = 32,
        .threads = 1,
        .seconds = 5,
        .timeout = 20,
        .seed = (load_now() / 1000 + (uint64_t)getpid()) % 1000000000,
    };
    int status = options_read(&options, argc, argv);
    if (status >= 0)
        return status;
    struct mix mix;
    if (!mix_parse(&mix, options.mix))
        return wrong_usage("not a mix of known kinds", options.mix);
    struct target target;
    if (!target_parse(&target, options.address))
        return 2;

    catch_signals();
    target_raise_limits();
    struct load_plan plan = {
        .target = &target,
        .mix = &mix,
        .connections = options.connections,
        .seed = options.seed,
        .requests = options.requests,
        .timeout = nanoseconds(options.timeout),
        .interrupt = &interrupted,
    };
    return run(&options, &plan);
}
