/*
 * A fuzzer (libFuzzer) of what reads SRS lookups from the network; TABLE is the protocol. The
 * first byte of an input says in what pieces the rest arrives. However they are cut, the same
 * requests must come out; replies must be what the protocol allows; and an address that was
 * rewritten must lead back.
 */
#include "fuzz.h"
#include "srs/srs.h"
#include "srs/table.h"
#include "util/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define INPUT_LIMIT 120000
#define NOW         INT64_C(1700000000)

/* A reply is at the limits, and a line holds neither a space nor anything that is not ASCII. */
static void check_reply(const struct table_request *request, enum table_status status,
                        struct postern_arena *arena)
{
    size_t length;
    const char *reply = TABLE.write(arena, status, request->key, &length);
    if (reply == NULL)
        return;
    require(length == strlen(reply) && length <= TABLE.input_limit);
    if (&TABLE != &tcp_table)
        return;
    require(length <= 4096 && reply[3] == ' ' && reply[length - 1] == '\n');
    for (size_t i = 4; i < length - 1; i++)
        require(reply[i] > ' ' && reply[i] < 0x7f);
}

/* What is quoted comes back with no more quotes than it needs, an SRS address as its next step. */
static void check_rewriting(const char *key, struct postern_arena *arena)
{
    static const char *secrets[] = {"the first secret", "the second secret"};
    static const struct srs srs = {"srs.example.org", {2, secrets}};
    const char *rewritten, *back;
    if (srs_reverse(&srs, arena, key, NOW, &back) == SRS_REWRITTEN)
        require(back[0] != '\0');
    if (srs_forward(&srs, arena, key, NOW, &rewritten) != SRS_REWRITTEN)
        return;
    require(srs_reverse(&srs, arena, rewritten, NOW, &back) == SRS_REWRITTEN);
    bool is_plain = strncasecmp(key, "srs", 3) != 0 && strpbrk(key, "\"\\[") == NULL;
    require(!is_plain || strcasecmp(key, back) == 0);
}

static void take_request(struct reading *reading, const struct table_request *request,
                         struct postern_arena *arena)
{
    reading->requests++;
    add_text(reading, request->key);
    reading->sum += (uint64_t)request->direction + (request->refusal != NULL ? 100 : 0);
    require(request->refusal == NULL || request->key[0] == '\0');
    for (int status = TABLE_FOUND; status <= TABLE_BROKEN; status++)
        check_reply(request, (enum table_status)status, arena);
    check_rewriting(request->key, arena);
}

/* As a connection does: what is not consumed is given again, together with what follows. */
static enum table_reading read_one(const char *data, size_t length, struct reading *reading,
                                   size_t *consumed)
{
    struct postern_arena *arena = arena_new();
    struct table_request request = {0};
    char *exact = malloc(length > 0 ? length : 1); /* so that reading past its end is seen */
    memcpy(exact, data, length);
    enum table_reading result = TABLE.read(exact, length, arena, &request, consumed);
    free(exact);
    require(*consumed <= length);
    require(result != TABLE_MORE || (*consumed == 0 && length < TABLE.input_limit));
    if (result == TABLE_REQUEST)
        take_request(reading, &request, arena);
    require(result != TABLE_ERROR || request.refusal != NULL);
    arena_free(arena);
    return result;
}

static struct reading read_in_pieces(const char *data, size_t length, size_t piece)
{
    struct reading reading = {0};
    size_t start = 0, end = 0;
    while (!reading.failed && end < length) {
        end = length - end < piece ? length : end + piece;
        enum table_reading result;
        do {
            size_t consumed;
            result = read_one(data + start, end - start, &reading, &consumed);
            start += consumed;
        } while (result == TABLE_REQUEST && start < end);
        reading.failed = result == TABLE_ERROR;
    }
    return reading;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    if (length < 2 || length > INPUT_LIMIT)
        return 0;
    const char *bytes = (const char *)data + 1;
    struct reading whole = read_in_pieces(bytes, length - 1, length);
    struct reading cut = read_in_pieces(bytes, length - 1, ((size_t)data[0] + 1) * 64 - 63);
    require(whole.failed == cut.failed && whole.requests == cut.requests && whole.sum == cut.sum);
    return 0;
}
