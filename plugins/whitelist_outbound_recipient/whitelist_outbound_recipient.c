/*
 * To whom a user has written may answer at once: recipients outside become senders that are not
 * greylisted. The rows are an admin's as well, so what is there already stays as it is.
 */
#include "written.h"

#include <postern/directory.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_LENGTH 255 /* of the tables */

enum account { ACCOUNT_USER, ACCOUNT_DOMAIN, ACCOUNT_GLOBAL };
enum recipient { RECIPIENT_USER, RECIPIENT_DOMAIN };

struct options {
    int account;
    int recipient;
    bool whitelist_domain;
};

static bool init(const void *options, void **state, struct postern_error *error)
{
    (void)options, (void)error;
    *state = written_new();
    return true;
}

static void cleanup(void *state)
{
    written_free(state);
}

/* --- whom for whom --- */

/* For whom; "" when the login is no address and there is nobody to name. */
static const char *account_of(struct postern_request *req, const struct options *options)
{
    if (options->account == ACCOUNT_GLOBAL || options->whitelist_domain)
        return "@.";
    if (req->sasl_domain[0] == '\0' || strlen(req->sasl_username) > COLUMN_LENGTH)
        return "";
    return options->account == ACCOUNT_USER ? req->sasl_username
                                            : postern_printf(req->arena, "@%s", req->sasl_domain);
}

static const char *subject_of(struct postern_request *req, const struct options *options,
                              const char *recipient, const char *domain)
{
    if (options->whitelist_domain)
        return domain;
    if (options->recipient == RECIPIENT_DOMAIN)
        return postern_printf(req->arena, "@%s", domain);
    return postern_address_without_ext(req->arena, recipient, req->recipient_delimiters);
}

/* NOT_FOUND, which is what it takes to be whitelisted; one's own domain need not be asked for. */
static enum postern_lookup find_hosted(struct postern_request *req, const char *domain)
{
    struct postern_domain found;
    if (domain[0] == '\0' || strcmp(domain, req->sasl_domain) == 0)
        return POSTERN_FOUND;
    return postern_domain_find(req, domain, &found);
}

/* Those of the recipients outside that have not been written lately, perhaps more than once. */
static bool collect(struct postern_request *req, const struct options *options, const char *account,
                    const char **names, size_t *count)
{
    for (size_t i = 0; i < req->recipients_length; i++) {
        const char *domain = postern_address_domain(req->recipients[i]);
        const char *name = subject_of(req, options, req->recipients[i], domain);
        if (strlen(name) > COLUMN_LENGTH ||
            written_has(postern_state(req), account, name, req->now))
            continue;
        enum postern_lookup hosted = find_hosted(req, domain);
        if (hosted == POSTERN_FAILED)
            return false;
        if (hosted == POSTERN_NOT_FOUND)
            names[(*count)++] = name;
    }
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, so that two messages that are written at once lock rows in the same order. */
static size_t sort_unique(const char **names, size_t count)
{
    size_t kept = 0;
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
            names[kept++] = names[i];
    return kept;
}

/* --- writing --- */

/*
 * One statement for all recipients, who come as a JSON array. MySQL alone tries to insert what is
 * there, because looking first would lock more.
 */
static const struct postern_statement add_senders = {
    .sqlite = "INSERT INTO greylisting_whitelists (account, sender, comment)"
              " SELECT ?, value, 'AUTO-WHITELISTED' FROM json_each(?) WHERE true"
              " ON CONFLICT DO NOTHING",
    .pgsql = "INSERT INTO greylisting_whitelists (account, sender, comment)"
             " SELECT account, sender, 'AUTO-WHITELISTED'"
             " FROM (SELECT CAST(? AS text) AS account, CAST(? AS json) AS list) AS given"
             " CROSS JOIN LATERAL json_array_elements_text(list) AS item (sender)"
             " WHERE NOT EXISTS (SELECT FROM greylisting_whitelists AS present"
             "  WHERE present.account = given.account AND present.sender = item.sender)"
             " ON CONFLICT DO NOTHING",
    .mysql = "INSERT INTO greylisting_whitelists (account, sender, comment)"
             " SELECT ?, item.name, 'AUTO-WHITELISTED' FROM JSON_TABLE(?, '$[*]' COLUMNS"
             "  (name VARCHAR(255) CHARACTER SET utf8mb4 PATH '$')) AS item"
             " ON DUPLICATE KEY UPDATE greylisting_whitelists.id = greylisting_whitelists.id",
    .repeatable = true};

static const struct postern_statement add_domains = {
    .sqlite = "INSERT INTO greylisting_whitelist_domains (domain)"
              " SELECT value FROM json_each(?) WHERE true ON CONFLICT DO NOTHING",
    .pgsql = "INSERT INTO greylisting_whitelist_domains (domain)"
             " SELECT name FROM json_array_elements_text(CAST(? AS json)) AS item (name)"
             " WHERE NOT EXISTS (SELECT FROM greylisting_whitelist_domains AS present"
             "  WHERE present.domain = item.name)"
             " ON CONFLICT DO NOTHING",
    .mysql = "INSERT INTO greylisting_whitelist_domains (domain)"
             " SELECT item.name FROM JSON_TABLE(?, '$[*]' COLUMNS"
             "  (name VARCHAR(255) CHARACTER SET utf8mb4 PATH '$')) AS item"
             " ON DUPLICATE KEY UPDATE"
             "  greylisting_whitelist_domains.id = greylisting_whitelist_domains.id",
    .repeatable = true};

/* Addresses have no control characters, so there is nothing else to escape. */
static char *append_quoted(char *to, const char *name)
{
    *to++ = '"';
    for (; *name != '\0'; name++) {
        if (*name == '"' || *name == '\\')
            *to++ = '\\';
        *to++ = *name;
    }
    *to++ = '"';
    return to;
}

static struct postern_value json_array(struct postern_request *req, const char *const *names,
                                       size_t count)
{
    size_t room = 3;
    for (size_t i = 0; i < count; i++)
        room += 2 * strlen(names[i]) + 3;
    char *text = postern_alloc(req->arena, room);
    char *to = text;
    *to++ = '[';
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *to++ = ',';
        to = append_quoted(to, names[i]);
    }
    *to++ = ']';
    return postern_text(text);
}

static enum postern_lookup add(struct postern_request *req, const struct options *options,
                               const char *account, const char *const *names, size_t count)
{
    struct postern_value list = json_array(req, names, count);
    struct postern_rows rows;
    if (options->whitelist_domain)
        return postern_query_optional(req, "iredapd", &add_domains, POSTERN_VALUES(list), &rows);
    return postern_query_optional(req, "iredapd", &add_senders,
                                  POSTERN_VALUES(postern_text(account), list), &rows);
}

static void check(struct postern_request *req)
{
    const struct options *options = postern_options(req);
    if (!req->sasl_username[0])
        return;
    const char *account = account_of(req, options);
    const char **names = postern_alloc(req->arena, (req->recipients_length + 1) * sizeof *names);
    size_t count = 0;
    if (!account[0] || !collect(req, options, account, names, &count) || count == 0)
        return;
    count = sort_unique(names, count);
    if (add(req, options, account, names, count) == POSTERN_FAILED)
        return;
    for (size_t i = 0; i < count; i++)
        written_add(postern_state(req), account, names[i], req->now);
    postern_reason(req, "%zu recipients may answer at once", count);
}

static const struct postern_option option_table[] = {
    POSTERN_OPTION(CHOICE, struct options, account, "user",
                   "for whom: user, domain (all users of the sender's domain) or global",
                   .choices = (const char *const[]){"user", "domain", "global", NULL}),
    POSTERN_OPTION(CHOICE, struct options, recipient, "user",
                   "who: user (the recipient) or domain (everybody in the recipient's domain)",
                   .choices = (const char *const[]){"user", "domain", NULL}),
    POSTERN_OPTION(BOOL, struct options, whitelist_domain, "false",
                   "list the recipient's domain for its SPF record to be whitelisted instead"),
    POSTERN_OPTIONS_END};

POSTERN_PLUGIN(whitelist_outbound_recipient,
               .summary = "lets those to whom users have written answer without greylisting",
               .priority = 30, .states = POSTERN_END_OF_MESSAGE, .aside = true,
               .options_size = sizeof(struct options), .options = option_table, .init = init,
               .check = check, .cleanup = cleanup);
