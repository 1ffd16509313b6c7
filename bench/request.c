#include "request.h"

#include "util/buffer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_TRIPLETS  1024
#define PASSED_TRIPLETS 64
#define COUNTED_USERS   1024

/* An id is a sum of the seed's hash, the source's number, the kind and a counter. */
#define SOURCE_SHIFT 36
#define KIND_SHIFT   33

/* What a kind says where the kinds differ. {i} id, {d} domain, {u} user, {c} client address. */
struct kind {
    const char *name, *help;
    const char *state, *client, *client_name, *sender, *recipient, *login;
    const char *size, *recipient_count;
    uint64_t repeats_after; /* 0: never */
};

static const struct kind kinds[REQUEST_KINDS] = {
    [REQUEST_DUNNO] = {"dunno", "VRFY, which no plugin handles: no lookup", "VRFY", "198.51.100.7",
                       "mail.sender.example", "", "user@example.com", "", "0", "0", 1},
    [REQUEST_TRUSTED] = {"trusted", "RCPT from 127.0.0.1", "RCPT", "127.0.0.1", "localhost",
                         "app@example.com", "user{u}@example.com", "", "0", "0", 0},
    [REQUEST_FIRST_SEEN] = {"first-seen", "RCPT with a new sender and client each time", "RCPT",
                            "{c}", "mail.d{d}.example", "n{i}@d{d}.example", "user{u}@example.com",
                            "", "0", "0", 0},
    [REQUEST_RETRY] = {"retry", "RCPT with one of 1024 triplets, again and again", "RCPT", "{c}",
                       "mail.d{d}.example", "r{i}@d{d}.example", "user{u}@example.com", "", "0",
                       "0", RETRY_TRIPLETS},
    [REQUEST_PASSED] = {"passed",
                        "RCPT from one of 64 clients: they have passed after two runs with the "
                        "same seed, block_expire apart",
                        "RCPT", "{c}", "mail.d{d}.example", "p{i}@d{d}.example",
                        "user{u}@example.com", "", "0", "0", PASSED_TRIPLETS},
    [REQUEST_NULL_SENDER] = {"null-sender", "RCPT of an authenticated user without a sender",
                             "RCPT", "198.51.100.7", "pc.example.com", "", "friend{u}@away.example",
                             "user{u}@example.com", "0", "0", 0},
    [REQUEST_EOM] = {"eom", "END-OF-MESSAGE of an authenticated user", "END-OF-MESSAGE",
                     "198.51.100.7", "pc.example.com", "user{u}@example.com",
                     "friend{u}@away.example", "user{u}@example.com", "24680", "1", 0},
    [REQUEST_COUNTED] = {"counted",
                         "END-OF-MESSAGE from one of 1024 outside senders to a mailbox of its own",
                         "END-OF-MESSAGE", "198.51.100.7", "mail.sender.example",
                         "s{i}@d{d}.example", "r{i}@example.com", "", "24680", "1", COUNTED_USERS},
    [REQUEST_SLOW_SPF] = {"slow-spf", "RCPT with a new sender below slow.example each time", "RCPT",
                          "{c}", "mail.d{d}.example", "n@{i}.slow.example", "user{u}@example.com",
                          "", "0", "0", 0},
};

static const char hole_letters[] = {
    [HOLE_ID] = 'i', [HOLE_DOMAIN] = 'd', [HOLE_USER] = 'u', [HOLE_CLIENT] = 'c'};
static const size_t hole_widths[] = {
    [HOLE_ID] = 16, [HOLE_DOMAIN] = 3, [HOLE_USER] = 2, [HOLE_CLIENT] = 15};

static int kind_find(const char *name, size_t length)
{
    for (int i = 0; i < REQUEST_KINDS; i++)
        if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, name, length) == 0)
            return i;
    return -1;
}

static bool mix_add(struct mix *mix, const char *item, size_t length)
{
    size_t name_length = strcspn(item, "=,");
    int kind = kind_find(item, name_length);
    unsigned long weight = 1;
    char *end = (char *)item + name_length;
    if (*end == '=' && end[1] >= '0' && end[1] <= '9')
        weight = strtoul(end + 1, &end, 10);
    if (kind < 0 || end != item + length || weight > 1000000)
        return false;
    mix->weights[kind] += weight;
    mix->total += weight;
    return true;
}

bool mix_parse(struct mix *mix, const char *text)
{
    *mix = (struct mix){0};
    for (;; text++) {
        size_t length = strcspn(text, ",");
        if (!mix_add(mix, text, length))
            return false;
        text += length;
        if (*text == '\0')
            return mix->total > 0;
    }
}

void mix_print_kinds(void)
{
    for (int i = 0; i < REQUEST_KINDS; i++)
        printf("  %-12s %s\n", kinds[i].name, kinds[i].help);
}

static void write_hex(char *to, size_t width, uint64_t value)
{
    for (size_t i = width; i-- > 0; value >>= 4)
        to[i] = "0123456789abcdef"[value & 15];
}

static void write_octet(char *to, unsigned octet)
{
    to[0] = '0' + octet / 100;
    to[1] = '0' + octet / 10 % 10;
    to[2] = '0' + octet % 10;
}

/* Octets of three digits: an address of fixed width without leading zeros. */
static void write_client(char *to, uint64_t id)
{
    write_octet(to + 12, 100 + id % 150);
    write_octet(to + 8, 100 + id / 150 % 150);
    write_octet(to + 4, 100 + id / (150 * 150) % 150);
    write_octet(to, 128 + id / (150 * 150 * 150) % 64);
    to[3] = to[7] = to[11] = '.';
}

static void write_hole(char *to, enum request_hole hole, uint64_t id)
{
    if (hole == HOLE_CLIENT)
        write_client(to, id);
    else
        write_hex(to, hole_widths[hole], id);
}

/* Cuts "{x}" marks out of the text and leaves room for what they stand for. */
static void template_cut(struct request_template *template, const char *marked)
{
    struct buffer text = {0};
    for (const char *p = marked; *p != '\0'; p++) {
        if (*p != '{') {
            buffer_char(&text, *p);
            continue;
        }
        const char *letter = memchr(hole_letters, p[1], sizeof hole_letters);
        assert(letter != NULL && p[2] == '}');
        assert(template->hole_count < sizeof template->holes / sizeof *template->holes);
        enum request_hole hole = (enum request_hole)(letter - hole_letters);
        template->holes[template->hole_count].hole = hole;
        template->holes[template->hole_count++].offset = text.length;
        buffer_printf(&text, "%*s", (int)hole_widths[hole], "");
        p += 2;
    }
    template->text = text.data;
    template->length = text.length;
}

static void template_init(struct request_template *template, const struct kind *kind)
{
    const char *attributes[][2] = {
        {"request", "smtpd_access_policy"},
        {"protocol_state", kind->state},
        {"protocol_name", "ESMTP"},
        {"client_address", kind->client},
        {"client_name", kind->client_name},
        {"client_port", "41234"},
        {"reverse_client_name", kind->client_name},
        {"server_address", "192.0.2.25"},
        {"server_port", kind->login[0] != '\0' ? "587" : "25"},
        {"helo_name", kind->client_name},
        {"sender", kind->sender},
        {"recipient", kind->recipient},
        {"recipient_count", kind->recipient_count},
        {"queue_id", kind->recipient_count[0] == '0' ? "" : "4Qx7Yk2tVzz9rP"},
        {"instance", kind->repeats_after == 1 ? "1a2b.64c8f3a1.5d6e7.0" : "{i}.64c8f3a1.0"},
        {"size", kind->size},
        {"etrn_domain", ""},
        {"stress", ""},
        {"sasl_method", kind->login[0] != '\0' ? "PLAIN" : ""},
        {"sasl_username", kind->login},
        {"sasl_sender", ""},
        {"ccert_subject", ""},
        {"ccert_issuer", ""},
        {"ccert_fingerprint", ""},
        {"ccert_pubkey_fingerprint", ""},
        {"encryption_protocol", "TLSv1.3"},
        {"encryption_cipher", "TLS_AES_256_GCM_SHA384"},
        {"encryption_keysize", "256"},
        {"policy_context", ""},
    };
    struct buffer marked = {0};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        buffer_printf(&marked, "%s=%s\n", attributes[i][0], attributes[i][1]);
    buffer_char(&marked, '\n');
    template_cut(template, marked.data);
    buffer_free(&marked);
}

/* splitmix64 */
static uint64_t scramble(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void request_source_init(struct request_source *source, const struct mix *mix, uint64_t seed,
                         unsigned number)
{
    *source = (struct request_source){.mix = *mix};
    source->identity = scramble(seed) + ((uint64_t)number << SOURCE_SHIFT);
    source->random = scramble(source->identity);
    for (int i = 0; i < REQUEST_KINDS; i++)
        template_init(&source->templates[i], &kinds[i]);
}

void request_source_end(struct request_source *source)
{
    for (int i = 0; i < REQUEST_KINDS; i++)
        free(source->templates[i].text);
}

static enum request_kind kind_draw(struct request_source *source)
{
    source->random = scramble(source->random);
    unsigned drawn = (unsigned)(source->random % source->mix.total);
    int kind = 0;
    while (drawn >= source->mix.weights[kind])
        drawn -= source->mix.weights[kind++];
    return (enum request_kind)kind;
}

struct request_name request_next(struct request_source *source)
{
    enum request_kind kind = kind_draw(source);
    uint64_t number = source->sent[kind]++;
    if (kinds[kind].repeats_after > 0)
        number %= kinds[kind].repeats_after;
    return (struct request_name){kind, number};
}

const struct request_template *request_render(struct request_source *source,
                                              struct request_name name)
{
    struct request_template *template = &source->templates[name.kind];
    uint64_t id = source->identity + ((uint64_t)name.kind << KIND_SHIFT) + name.number;
    for (size_t i = 0; i < template->hole_count; i++)
        write_hole(template->text + template->holes[i].offset, template->holes[i].hole, id);
    return template;
}
