/*
 * An answer is gone through three times: for the aliases, which may stand in any order, for
 * the size of the records at the end of their chain, and for the records.
 */
#include "dns/dns_message.h"

#include "util/memory.h"
#include <string.h>

#define HEADER_SIZE      12
#define RECORD_MIN       11 /* a root name and the fixed part */
#define CLASS_IN         1
#define CODE_NAME_ERROR  3
#define FLAG_RESPONSE    0x80
#define FLAG_TRUNCATED   0x02
#define FLAG_RECURSION   0x01
#define ALIASES_MAX      16
#define TTL_MAX          (24 * 3600)
#define NEGATIVE_TTL_MAX 3600

enum {
    TYPE_A = 1,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_PTR = 12,
    TYPE_MX = 15,
    TYPE_TXT = 16,
    TYPE_AAAA = 28,
    TYPE_OPT = 41
};

static const struct {
    unsigned number;
    const char *word;
} types[] = {
    [POSTERN_DNS_A] = {TYPE_A, "A"},       [POSTERN_DNS_AAAA] = {TYPE_AAAA, "AAAA"},
    [POSTERN_DNS_MX] = {TYPE_MX, "MX"},    [POSTERN_DNS_TXT] = {TYPE_TXT, "TXT"},
    [POSTERN_DNS_PTR] = {TYPE_PTR, "PTR"},
};

static const char UNREADABLE[] = "an answer that can't be read";

const char *dns_type_word(enum postern_dns_type type)
{
    return types[type].word;
}

/* --- numbers --- */

static unsigned read16(const unsigned char *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t read32(const unsigned char *at)
{
    return (uint32_t)read16(at) << 16 | read16(at + 2);
}

static unsigned char *write16(unsigned char *to, unsigned value)
{
    to[0] = (unsigned char)(value >> 8);
    to[1] = (unsigned char)value;
    return to + 2;
}

/* --- queries --- */

size_t dns_message_write(const struct dns_question *question, unsigned char query[DNS_QUERY_MAX])
{
    unsigned char *to = query;
    memset(query, 0, DNS_QUERY_MAX);
    to[2] = FLAG_RECURSION;
    write16(to + 4, 1);  /* one question */
    write16(to + 10, 1); /* and OPT */
    to += HEADER_SIZE;
    memcpy(to, question->name.wire, question->name.length);
    to = write16(to + question->name.length, types[question->type].number);
    to = write16(to, CLASS_IN);
    to = write16(to + 1, TYPE_OPT);
    to = write16(to, DNS_UDP_SIZE);
    return (size_t)(to + 6 - query);
}

unsigned dns_message_code(const unsigned char *message)
{
    return message[3] & 0x0f;
}

bool dns_message_is_truncated(const unsigned char *message, size_t size)
{
    return size >= HEADER_SIZE && (message[2] & FLAG_TRUNCATED) != 0;
}

/* --- going through records --- */

struct record {
    unsigned type, class;
    uint32_t ttl;
    size_t owner, data, length; /* where in the message */
};

struct reader {
    const unsigned char *message;
    size_t size, at;
};

static uint32_t sane_ttl(uint32_t ttl, uint32_t most)
{
    if (ttl > INT32_MAX)
        return 0;
    return ttl < most ? ttl : most;
}

static bool read_record(struct reader *reader, struct record *record)
{
    record->owner = reader->at;
    if (!dns_name_skip(reader->message, reader->size, &reader->at) ||
        reader->size - reader->at < RECORD_MIN - 1)
        return false;
    const unsigned char *fixed = reader->message + reader->at;
    record->type = read16(fixed);
    record->class = read16(fixed + 2);
    record->ttl = sane_ttl(read32(fixed + 4), TTL_MAX);
    record->length = read16(fixed + 8);
    record->data = reader->at + RECORD_MIN - 1;
    if (record->length > reader->size - record->data)
        return false;
    reader->at = record->data + record->length;
    return true;
}

static bool read_owner(const struct reader *reader, const struct record *record,
                       struct dns_name *name)
{
    size_t at = record->owner;
    return dns_name_read(reader->message, reader->size, &at, name);
}

/* A name that ends where the record does. */
static bool read_name_in(const struct reader *reader, const struct record *record, size_t skip,
                         struct dns_name *name)
{
    size_t at = record->data + skip;
    return skip < record->length && dns_name_read(reader->message, reader->size, &at, name) &&
           at == record->data + record->length;
}

/* --- aliases --- */

struct alias {
    struct dns_name owner, target;
    uint32_t ttl;
};

struct aliases {
    size_t count;
    struct alias list[ALIASES_MAX];
};

static const char *collect_aliases(struct reader reader, unsigned records, struct aliases *aliases)
{
    struct record record;
    aliases->count = 0;
    for (unsigned i = 0; i < records; i++) {
        if (!read_record(&reader, &record))
            return UNREADABLE;
        if (record.type != TYPE_CNAME || record.class != CLASS_IN)
            continue;
        if (aliases->count == ALIASES_MAX)
            return "an answer with more than 16 aliases";
        struct alias *alias = &aliases->list[aliases->count++];
        alias->ttl = record.ttl;
        if (!read_owner(&reader, &record, &alias->owner) ||
            !read_name_in(&reader, &record, 0, &alias->target))
            return UNREADABLE;
    }
    return NULL;
}

static const struct alias *find_alias(const struct aliases *aliases, const struct dns_name *owner)
{
    for (size_t i = 0; i < aliases->count; i++)
        if (dns_name_equal(&aliases->list[i].owner, owner))
            return &aliases->list[i];
    return NULL;
}

/* Moves name to the end of its chain. */
static const char *follow_aliases(const struct aliases *aliases, struct dns_name *name,
                                  uint32_t *ttl)
{
    const struct alias *alias;
    for (size_t hops = 0; (alias = find_alias(aliases, name)) != NULL; hops++) {
        if (hops == aliases->count)
            return "aliases that lead in a circle";
        *name = alias->target;
        *ttl = alias->ttl < *ttl ? alias->ttl : *ttl;
    }
    return NULL;
}

/* --- records --- */

/* What is collected; without records it is only measured. */
struct collector {
    struct reader reader;
    enum postern_dns_type type;
    const struct dns_name *owner;
    struct postern_dns_record *records;
    size_t count;
    char *text; /* where the next one goes */
    size_t text_size;
    uint32_t ttl;
};

static size_t collected_size(const struct collector *collector)
{
    return collector->count * sizeof *collector->records + collector->text_size;
}

/* Where `length` bytes of text go, with a NUL behind; NULL when there are none, or no room yet. */
static char *take_text(struct collector *collector, size_t length, const char **field)
{
    if (length == 0)
        return NULL;
    collector->text_size += length + 1;
    if (collector->records == NULL)
        return NULL;
    char *text = collector->text;
    *field = text;
    text[length] = '\0';
    collector->text += length + 1;
    return text;
}

static bool take_ip(struct collector *collector, const struct record *record,
                    struct postern_dns_record *to)
{
    size_t length = record->type == TYPE_A ? 4 : 16;
    to->ip.family = record->type == TYPE_A ? POSTERN_IPV4 : POSTERN_IPV6;
    if (record->length == length)
        memcpy(to->ip.bytes, collector->reader.message + record->data, length);
    return record->length == length;
}

static bool take_name(struct collector *collector, const struct record *record,
                      struct postern_dns_record *to)
{
    struct dns_name name;
    char text[DNS_NAME_TEXT];
    size_t skip = record->type == TYPE_MX ? 2 : 0;
    if (!read_name_in(&collector->reader, record, skip, &name))
        return false;
    if (skip > 0)
        to->preference = read16(collector->reader.message + record->data);
    size_t length = strlen(dns_name_text(&name, text));
    char *copy = take_text(collector, length, &to->name);
    if (copy != NULL)
        memcpy(copy, text, length);
    return true;
}

/* Each string is preceded by its length. */
static bool take_strings(struct collector *collector, const struct record *record,
                         struct postern_dns_record *to)
{
    const unsigned char *data = collector->reader.message + record->data;
    size_t length = 0;
    for (size_t at = 0; at < record->length; at += 1 + data[at]) {
        if (data[at] >= record->length - at)
            return false;
        length += data[at];
    }
    char *text = take_text(collector, length, &to->text);
    to->length = length;
    for (size_t at = 0; text != NULL && at < record->length; at += 1 + data[at]) {
        memcpy(text, data + at + 1, data[at]);
        text += data[at];
    }
    return true;
}

static bool take_record(struct collector *collector, const struct record *record)
{
    struct postern_dns_record unused, *to = &unused;
    if (collector->records != NULL)
        to = &collector->records[collector->count];
    *to = (struct postern_dns_record){.name = "", .text = ""};
    collector->count++;
    collector->ttl = record->ttl < collector->ttl ? record->ttl : collector->ttl;
    if (record->type == TYPE_TXT)
        return take_strings(collector, record, to);
    if (record->type == TYPE_A || record->type == TYPE_AAAA)
        return take_ip(collector, record, to);
    return take_name(collector, record, to);
}

/* A record of another name or type is passed over. */
static const char *collect_record(struct collector *collector, const struct record *record)
{
    struct dns_name owner;
    if (record->type != types[collector->type].number || record->class != CLASS_IN)
        return NULL;
    if (!read_owner(&collector->reader, record, &owner))
        return UNREADABLE;
    if (!dns_name_equal(&owner, collector->owner))
        return NULL;
    if (!take_record(collector, record))
        return UNREADABLE;
    return collected_size(collector) > DNS_ANSWER_MAX ? "an answer that takes more than 128 KB"
                                                      : NULL;
}

static const char *collect(struct collector *collector, unsigned records)
{
    struct record record;
    struct reader *reader = &collector->reader;
    size_t start = reader->at;
    const char *failure = NULL;
    for (unsigned i = 0; failure == NULL && i < records; i++)
        failure = read_record(reader, &record) ? collect_record(collector, &record) : UNREADABLE;
    reader->at = start;
    return failure;
}

static const char *read_records(struct collector *collector, unsigned records,
                                struct dns_reply *reply)
{
    const char *failure = collect(collector, records);
    if (failure != NULL || collector->count == 0)
        return failure;
    reply->count = collector->count;
    reply->size = collected_size(collector);
    reply->records = memory_new(reply->size);
    collector->records = reply->records;
    collector->text = (char *)(reply->records + reply->count);
    collector->count = collector->text_size = 0;
    collect(collector, records);
    reply->ttl = collector->ttl;
    return NULL;
}

/* --- negative answers --- */

/* The TTL of the SOA record or its minimum, the smaller one: RFC 2308, 5. False without one. */
static bool read_negative_ttl(struct reader reader, const struct record *soa, uint32_t *ttl)
{
    struct dns_name name;
    reader.at = soa->data;
    if (!dns_name_read(reader.message, reader.size, &reader.at, &name) ||
        !dns_name_read(reader.message, reader.size, &reader.at, &name) ||
        reader.at + 20 != soa->data + soa->length)
        return false;
    uint32_t minimum = sane_ttl(read32(reader.message + reader.at + 16), NEGATIVE_TTL_MAX);
    uint32_t own = soa->ttl < minimum ? soa->ttl : minimum;
    *ttl = own < *ttl ? own : *ttl;
    return true;
}

static bool find_soa(struct reader reader, unsigned answers, unsigned authorities, uint32_t *ttl)
{
    struct record record;
    for (unsigned i = 0; i < answers + authorities; i++) {
        if (!read_record(&reader, &record))
            return false;
        if (i >= answers && record.type == TYPE_SOA && record.class == CLASS_IN)
            return read_negative_ttl(reader, &record, ttl);
    }
    return false;
}

/* --- the whole --- */

static const char *check_header(const unsigned char *message, size_t size)
{
    static const char *const codes[16] = {
        [1] = "FORMERR", [2] = "SERVFAIL", [4] = "NOTIMP", [5] = "REFUSED"};
    if (size < HEADER_SIZE || (message[2] & FLAG_RESPONSE) == 0)
        return UNREADABLE;
    if (dns_message_is_truncated(message, size))
        return "an answer that is cut off, by TCP too";
    unsigned code = dns_message_code(message);
    if (code == 0 || code == CODE_NAME_ERROR)
        return NULL;
    return codes[code] != NULL ? codes[code] : "an error code that is not expected";
}

static bool skip_question(struct reader *reader, const struct dns_question *question)
{
    struct dns_name name;
    if (read16(reader->message + 4) != 1 ||
        !dns_name_read(reader->message, reader->size, &reader->at, &name) ||
        reader->size - reader->at < 4 || !dns_name_equal(&name, &question->name) ||
        read16(reader->message + reader->at) != types[question->type].number)
        return false;
    reader->at += 4;
    return true;
}

static const char *read_answer(struct reader reader, const struct dns_question *question,
                               struct dns_reply *reply)
{
    unsigned answers = read16(reader.message + 6), authorities = read16(reader.message + 8);
    struct aliases aliases;
    struct dns_name last = question->name;
    uint32_t ttl = TTL_MAX;
    const char *failure = collect_aliases(reader, answers, &aliases);
    if (failure == NULL)
        failure = follow_aliases(&aliases, &last, &ttl);
    if (failure != NULL)
        return failure;
    bool is_error = dns_message_code(reader.message) == CODE_NAME_ERROR;
    struct collector collector = {
        .reader = reader, .type = question->type, .owner = &last, .ttl = ttl};
    failure = is_error ? NULL : read_records(&collector, answers, reply);
    if (failure != NULL || reply->count > 0)
        return failure;
    reply->status = is_error ? POSTERN_DNS_NO_NAME : POSTERN_DNS_NO_DATA;
    bool has_soa = find_soa(reader, answers, authorities, &ttl);
    if (!is_error && !has_soa && !dns_name_equal(&last, &question->name))
        reply->alias = last;
    reply->ttl = has_soa || reply->alias.length > 0 ? ttl : 0;
    return NULL;
}

void dns_message_read(const unsigned char *message, size_t size,
                      const struct dns_question *question, struct dns_reply *reply)
{
    struct reader reader = {message, size, HEADER_SIZE};
    *reply = (struct dns_reply){.status = POSTERN_DNS_FOUND, .failure = ""};
    const char *failure = check_header(message, size);
    if (failure == NULL)
        failure =
            skip_question(&reader, question) ? read_answer(reader, question, reply) : UNREADABLE;
    if (failure != NULL)
        *reply = (struct dns_reply){.status = POSTERN_DNS_FAILED, .failure = failure};
}

const struct postern_dns_record *dns_records_copy(const struct postern_dns_record *records,
                                                  size_t count, size_t size, void *memory)
{
    if (count == 0)
        return NULL;
    struct postern_dns_record *copy = memory;
    memcpy(copy, records, size);
    for (size_t i = 0; i < count; i++) {
        if (records[i].name[0] != '\0')
            copy[i].name = (char *)memory + (records[i].name - (const char *)records);
        if (records[i].length > 0)
            copy[i].text = (char *)memory + (records[i].text - (const char *)records);
    }
    return copy;
}
