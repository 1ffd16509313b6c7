/*
 * The resolver, asked by a test: dns_check [servers=IP:PORT,...] [timeout=SECONDS]. Each line of
 * the input is a question, "ID TYPE SECONDS NAME"; a fiber asks it at once. Each answer is a line
 * of JSON. Ends when the input has ended and all is answered.
 */
#include "dns/dns.h"
#include "runtime/fiber.h"
#include "util/arena.h"
#include "util/json.h"
#include "util/memory.h"
#include "util/names.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const types[] = {"A", "AAAA", "MX", "TXT", "PTR", NULL};
static const char *const statuses[] = {"found", "no_data", "no_name", "failed"};

struct question {
    char id[32];
    enum postern_dns_type type;
    double seconds;
    char name[1024];
};

static bool question_parse(struct question *question, const char *line)
{
    char type[8];
    if (sscanf(line, "%31s %7s %lf %1023[^\n]", question->id, type, &question->seconds,
               question->name) < 3)
        return false;
    for (size_t i = 0; types[i] != NULL; i++)
        if (strcmp(types[i], type) == 0) {
            question->type = (enum postern_dns_type)i;
            return true;
        }
    return false;
}

static void write_record(struct json *json, enum postern_dns_type type,
                         const struct postern_dns_record *record)
{
    char ip[POSTERN_IP_TEXT];
    json_array(json);
    if (type == POSTERN_DNS_MX)
        json_integer(json, record->preference);
    if (type == POSTERN_DNS_TXT)
        json_integer(json, (int64_t)record->length);
    if (type == POSTERN_DNS_TXT)
        json_string(json, record->text);
    else if (type == POSTERN_DNS_A || type == POSTERN_DNS_AAAA)
        json_string(json, postern_ip_text(&record->ip, ip));
    else
        json_string(json, record->name);
    json_array_end(json);
}

static void write_answer(const struct question *question, const struct postern_dns_answer *answer)
{
    struct buffer out = {0};
    struct json json = json_on(&out);
    json_object(&json);
    json_key(&json, "id");
    json_string(&json, question->id);
    json_key(&json, "status");
    json_string(&json, statuses[answer->status]);
    json_key(&json, "failure");
    json_string(&json, answer->failure);
    json_key(&json, "records");
    json_array(&json);
    for (size_t i = 0; i < answer->count; i++)
        write_record(&json, question->type, &answer->records[i]);
    json_array_end(&json);
    json_object_end(&json);
    puts(out.data);
    fflush(stdout);
    buffer_free(&out);
}

static void ask(void *arg)
{
    struct question *question = arg;
    struct postern_arena *arena = arena_new();
    struct postern_dns_answer answer;
    double deadline = fiber_now() + question->seconds;
    enum postern_dns_status status =
        dns_query(question->type, question->name, arena, deadline, &answer);
    if (status != answer.status)
        abort();
    write_answer(question, &answer);
    arena_free(arena);
    free(question);
}

static void ask_line(const char *line)
{
    struct question *question = memory_new(sizeof *question);
    if (!question_parse(question, line) || !fiber_spawn(ask, question)) {
        fprintf(stderr, "not a question: %s\n", line);
        exit(2);
    }
}

static void ask_lines(struct buffer *input)
{
    char *end;
    while (input->length > 0 && (end = memchr(input->data, '\n', input->length)) != NULL) {
        *end = '\0';
        ask_line(input->data);
        buffer_consume(input, (size_t)(end + 1 - input->data));
    }
}

static void read_questions(void *arg)
{
    struct buffer input = {0};
    char piece[65536];
    ssize_t length;
    (void)arg;
    while (fiber_wait_fd(STDIN_FILENO, EV_READ, NEVER) != 0 &&
           (length = read(STDIN_FILENO, piece, sizeof piece)) > 0) {
        buffer_append(&input, piece, (size_t)length);
        ask_lines(&input);
    }
    buffer_free(&input);
    while (fiber_count() > 1)
        fiber_sleep(0.01, NEVER);
    fiber_runtime_stop();
}

static void add_servers(struct postern_arena *arena, struct config *config, char *list)
{
    char *server;
    while ((server = strsep(&list, ",")) != NULL)
        names_add(arena, &config->dns_servers, server);
}

int main(int argc, char **argv)
{
    struct postern_arena *arena = arena_new();
    struct config config = {.dns_timeout = 3};
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "servers=", 8) == 0)
            add_servers(arena, &config, argv[i] + 8);
        else if (strncmp(argv[i], "timeout=", 8) == 0)
            config.dns_timeout = atoi(argv[i] + 8);
    fiber_runtime_start();
    dns_open(&config);
    if (!fiber_spawn(read_questions, NULL))
        return 1;
    fiber_runtime_run();
    dns_close();
    fiber_runtime_end();
    arena_free(arena);
    return 0;
}
