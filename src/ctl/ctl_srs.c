#include "ctl/lines.h"
#include "ctl/nouns.h"
#include "ctl/output.h"
#include "srs/rewrite.h"
#include "util/names.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define SECRET_BYTES 32
#define REMEMBERED   3600 /* seconds: a domain is looked up once per run */

static const struct postern_statement EXCLUDE_LIST = {
    .sql = "SELECT domain FROM srs_exclude_domains ORDER BY domain"};

static const struct postern_statement EXCLUDE_ADD = {
    .sql = "INSERT INTO srs_exclude_domains (domain) VALUES (?) ON CONFLICT (domain) DO NOTHING",
    .mysql = "INSERT IGNORE INTO srs_exclude_domains (domain) VALUES (?)"};

/* With and without a leading dot mean the same. */
static const struct postern_statement EXCLUDE_DELETE = {
    .sql = "DELETE FROM srs_exclude_domains WHERE domain IN (?...)"};

static const struct column excluded_columns[] = {{"DOMAIN", "domain", COLUMN_TEXT}};

static const struct column rewritten_columns[] = {
    {"ADDRESS", "address", COLUMN_TEXT},
    {"RESULT", "result", COLUMN_TEXT},
    {"REASON", "reason", COLUMN_TEXT},
};
#define REWRITTEN_COLUMNS (sizeof rewritten_columns / sizeof rewritten_columns[0])

/* --- rewriting --- */

typedef enum rewrite_result (*direction)(struct ctl *ctl, const struct rewrite *rewrite,
                                         const char *address, const char **result,
                                         const char **why);

static enum rewrite_result go_forward(struct ctl *ctl, const struct rewrite *rewrite,
                                      const char *address, const char **result, const char **why)
{
    return rewrite_forward(rewrite, ctl->arena, address, ctl->deadline, result, why);
}

static enum rewrite_result go_back(struct ctl *ctl, const struct rewrite *rewrite,
                                   const char *address, const char **result, const char **why)
{
    return rewrite_reverse(rewrite, ctl->arena, address, result, why);
}

static const enum ctl_status statuses[] = {
    [REWRITE_DONE] = CTL_DONE,
    [REWRITE_NOT_FOUND] = CTL_NOTHING,
    [REWRITE_TRY_AGAIN] = CTL_UNREACHABLE,
};

static enum ctl_status rewrite_one(struct ctl *ctl, const struct rewrite *rewrite, direction go,
                                   const char *address, struct postern_value *cells)
{
    const char *result = NULL, *why = "";
    enum ctl_status status = statuses[go(ctl, rewrite, address, &result, &why)];
    cells[0] = postern_text(address);
    cells[1] = result != NULL ? postern_text(result) : postern_null();
    cells[2] = postern_text(why);
    return status;
}

/* One address is answered with nothing but the address that it becomes. */
static void show_one(struct ctl *ctl, const struct postern_rows *rows)
{
    const char *address = postern_row_text(rows, 0, 0), *why = postern_row_text(rows, 0, 2);
    if (postern_row_is_null(rows, 0, 1)) {
        ctl_complain("%s is not rewritten: %s", address, why);
        return;
    }
    output_text(ctl->out, postern_row_text(rows, 0, 1));
    buffer_char(ctl->out, '\n');
    if (why[0] != '\0')
        ctl_complain("%s, and is valid all the same", why);
}

/* The status of the worst of them. */
static enum ctl_status rewrite_all(struct ctl *ctl, const struct rewrite *rewrite, direction go,
                                   const struct postern_names *addresses)
{
    struct postern_value *cells =
        postern_alloc(ctl->arena, (addresses->count + 1) * REWRITTEN_COLUMNS * sizeof *cells);
    enum ctl_status status = CTL_DONE;
    for (size_t i = 0; i < addresses->count; i++) {
        enum ctl_status one =
            rewrite_one(ctl, rewrite, go, addresses->items[i], cells + i * REWRITTEN_COLUMNS);
        status = one > status ? one : status;
    }
    struct postern_rows rows = {
        .count = addresses->count, .columns = REWRITTEN_COLUMNS, .cells = cells};
    if (rows.count == 1 && !ctl->json)
        show_one(ctl, &rows);
    else
        output_table(ctl, rewritten_columns, &rows);
    return status;
}

static enum ctl_status rewrite_operands(struct ctl *ctl, direction go)
{
    struct postern_names addresses = {0};
    if (ctl->config->srs.domain[0] == '\0') {
        ctl_complain("SRS is off: %s has no srs { domain }", ctl->config_path);
        return CTL_NOTHING;
    }
    enum ctl_status status = lines_take(ctl, &addresses);
    if (status != CTL_DONE)
        return status;
    struct db_cache *cache = db_cache_new(REMEMBERED);
    struct rewrite rewrite;
    rewrite_init(&rewrite, ctl->config, &ctl->databases, cache);
    status = rewrite_all(ctl, &rewrite, go, &addresses);
    db_cache_free(cache);
    return status;
}

static enum ctl_status forward(struct ctl *ctl)
{
    return rewrite_operands(ctl, go_forward);
}

static enum ctl_status reverse(struct ctl *ctl)
{
    return rewrite_operands(ctl, go_back);
}

/* --- excluded domains --- */

static enum ctl_status exclude_list(struct ctl *ctl)
{
    struct postern_rows rows;
    enum postern_lookup lookup = ctl_query(ctl, &EXCLUDE_LIST, POSTERN_NO_VALUES, &rows);
    return output_list(ctl, excluded_columns, 1, lookup, &rows, false);
}

/* In lower case, without a leading dot. CTL_USAGE when one is no domain. */
static enum ctl_status domains_read(struct ctl *ctl, struct postern_names *domains)
{
    struct postern_names given = {0};
    enum ctl_status status = lines_take(ctl, &given);
    if (status != CTL_DONE)
        return status;
    for (size_t i = 0; i < given.count; i++) {
        const char *domain = postern_lower(ctl->arena, given.items[i]);
        domain += domain[0] == '.';
        names_add(ctl->arena, domains, domain);
        if (postern_domain_is_valid(domain))
            continue;
        ctl_complain("`%s` is not a domain like example.com", given.items[i]);
        return CTL_USAGE;
    }
    return CTL_DONE;
}

static enum postern_lookup add_one(struct ctl *ctl, const char *domain, struct postern_rows *rows)
{
    return ctl_query(ctl, &EXCLUDE_ADD, POSTERN_VALUES(postern_text(domain)), rows);
}

static enum postern_lookup delete_one(struct ctl *ctl, const char *domain,
                                      struct postern_rows *rows)
{
    const char *both[] = {domain, postern_printf(ctl->arena, ".%s", domain)};
    struct postern_names names = {2, both};
    return ctl_query(ctl, &EXCLUDE_DELETE, POSTERN_VALUES(postern_texts(names)), rows);
}

/* How many domains it has changed something for; -1 when it could not be done. */
static int64_t change_each(struct ctl *ctl, const struct postern_names *domains,
                           enum postern_lookup (*change)(struct ctl *ctl, const char *domain,
                                                         struct postern_rows *rows))
{
    int64_t changed = 0;
    struct postern_rows rows;
    for (size_t i = 0; i < domains->count; i++) {
        enum postern_lookup lookup = change(ctl, domains->items[i], &rows);
        if (lookup == POSTERN_FAILED)
            return -1;
        changed += lookup == POSTERN_FOUND;
    }
    return changed;
}

/* "example.com", or how many there are of them. */
static const char *domains_text(struct ctl *ctl, const struct postern_names *domains)
{
    return domains->count == 1
               ? domains->items[0]
               : postern_printf(ctl->arena, "what was named (%zu domains)", domains->count);
}

static enum ctl_status exclude_add(struct ctl *ctl)
{
    struct postern_names domains = {0};
    enum ctl_status status = domains_read(ctl, &domains);
    if (status != CTL_DONE)
        return status;
    int64_t changed = change_each(ctl, &domains, add_one);
    const char *what = domains_text(ctl, &domains);
    if (changed < 0)
        return CTL_UNREACHABLE;
    if (changed == 0)
        return output_unchanged(ctl, "%s is excluded from rewriting already", what);
    return output_change(ctl, changed, "%s and its subdomains are excluded from rewriting", what);
}

static enum ctl_status exclude_delete(struct ctl *ctl)
{
    struct postern_names domains = {0};
    enum ctl_status status = domains_read(ctl, &domains);
    if (status != CTL_DONE)
        return status;
    int64_t changed = change_each(ctl, &domains, delete_one);
    const char *what = domains_text(ctl, &domains);
    if (changed < 0)
        return CTL_UNREACHABLE;
    if (changed == 0)
        return output_change(ctl, 0,
                             "no entry for %s; `posternctl srs exclude list` shows those that are "
                             "there",
                             what);
    return output_change(ctl, changed, "%s is not excluded from rewriting any more", what);
}

/* --- secrets --- */

static enum ctl_status secret(struct ctl *ctl)
{
    unsigned char bytes[SECRET_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        ctl_complain("cannot get random bytes: %s", strerror(errno));
        return CTL_UNREACHABLE;
    }
    struct buffer text = {0};
    for (size_t i = 0; i < sizeof bytes; i++)
        buffer_printf(&text, "%02x", bytes[i]);
    struct json json = json_on(ctl->out);
    if (ctl->json) {
        json_object(&json);
        json_key(&json, "secret");
        json_string(&json, text.data);
        json_object_end(&json);
    } else {
        buffer_printf(ctl->out, "%s\n", text.data);
    }
    buffer_free(&text);
    return CTL_DONE;
}

/* --- the table --- */

static const struct command commands[] = {
    {"forward", "ADDRESS...", "what a sender becomes in mail that is forwarded", NULL, NEEDS_CONFIG,
     forward},
    {"reverse", "ADDRESS...", "which sender a rewritten address leads back to", NULL, NEEDS_CONFIG,
     reverse},
    {"exclude list", NULL, "domains whose senders are not rewritten", NULL, NEEDS_DATABASE,
     exclude_list},
    {"exclude add", "DOMAIN...", "does not rewrite senders of DOMAIN and its subdomains", NULL,
     NEEDS_DATABASE, exclude_add},
    {"exclude delete", "DOMAIN...", "rewrites senders of DOMAIN again", NULL, NEEDS_DATABASE,
     exclude_delete},
    {"secret", NULL, "prints a new secret for srs { secrets_file }", NULL, NEEDS_NOTHING, secret},
    {NULL},
};

const struct noun noun_srs = {"srs", "senders of forwarded mail, rewritten and led back", commands};
