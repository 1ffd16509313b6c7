/*
 * A fuzzer (libFuzzer) of what reads bytes from the network: the first byte of an input says in
 * what pieces the rest arrives. However they are cut, the same requests must come out, and what
 * is derived from them must keep its promises.
 */
#include "fuzz.h"
#include "policy/protocol.h"
#include "policy/request.h"
#include "policy/session.h"
#include "runtime/log.h"
#include "util/arena.h"
#include "util/utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_LIMIT 20000

static void check_address(const struct postern_request *request, const char *address,
                          const char *without_ext, const char *domain)
{
    require(strlen(without_ext) <= strlen(address));
    require(utf8_is_valid(without_ext)); /* or a database would refuse it */
    require((without_ext[0] == '\0') == (domain[0] == '\0'));
    struct postern_names names = postern_address_candidates(request->arena, without_ext);
    require(names.count > 0 && strcmp(names.items[names.count - 1], "@.") == 0);
}

static void take_request(struct reading *reading, struct session *session,
                         struct postern_request *request)
{
    static const struct config config = {
        .recipient_delimiters = "+-", .request_timeout = 20, .srs = {.domain = "srs.example.org"}};
    request_derive(request, &config);
    check_address(request, request->sender, request->sender_without_ext, request->sender_domain);
    check_address(request, request->recipient, request->recipient_without_ext,
                  request->recipient_domain);
    session_recall(session, request);
    session_remember(session, request);
    add_text(reading, request->sender);
    add_text(reading, request->recipient);
    add_text(reading, request->client_address);
    reading->sum += request->size + request->recipients_length;
    reading->requests++;
}

/* A handed over session says the same as the one it was written from. */
static void check_handoff(const struct session *session)
{
    struct session other = {0};
    struct buffer written = {0}, again = {0};
    session_write(session, &written, SIZE_MAX);
    require(session_read(&other, written.data, written.length));
    session_write(&other, &again, SIZE_MAX);
    require(written.length == again.length &&
            (written.length == 0 || memcmp(written.data, again.data, written.length) == 0));
    buffer_free(&written);
    buffer_free(&again);
    session_forget(&other);
}

/* As a connection does: what is not consumed is given again, together with what follows. */
static struct reading read_in_pieces(const char *data, size_t length, size_t piece)
{
    struct reading reading = {0};
    struct session session = {0};
    struct protocol_parser parser = {0};
    size_t start = 0, end = 0;
    while (!reading.failed && end < length) {
        end = length - end < piece ? length : end + piece;
        enum protocol_result result = PROTOCOL_REQUEST;
        while (result == PROTOCOL_REQUEST) {
            size_t consumed;
            /* A copy of its own, so that reading past its end is seen. */
            char *bytes = malloc(end - start + 1);
            memcpy(bytes, data + start, end - start);
            char *exact = realloc(bytes, end - start > 0 ? end - start : 1);
            result = protocol_feed(&parser, exact, end - start, &consumed);
            free(exact);
            require(consumed <= end - start);
            start += consumed;
            if (result != PROTOCOL_REQUEST)
                continue;
            take_request(&reading, &session, parser.request);
            arena_free(parser.request->arena);
            protocol_reset(&parser);
        }
        reading.failed = result == PROTOCOL_ERROR;
        require(!reading.failed || parser.error != NULL);
    }
    check_handoff(&session);
    if (parser.request != NULL)
        arena_free(parser.request->arena);
    session_forget(&session);
    return reading;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    static const struct log_settings quiet = {.target = LOG_TARGET_STDERR,
                                              .level = LOG_LEVEL_ERROR};
    log_open("fuzz_protocol", &quiet);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    if (length < 2 || length > INPUT_LIMIT)
        return 0;
    const char *bytes = (const char *)data + 1;
    struct reading whole = read_in_pieces(bytes, length - 1, length);
    struct reading cut = read_in_pieces(bytes, length - 1, (size_t)data[0] + 1);
    require(whole.failed == cut.failed && whole.requests == cut.requests && whole.sum == cut.sum);
    return 0;
}
