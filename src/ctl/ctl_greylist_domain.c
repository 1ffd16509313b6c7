/* Domains whose networks, by their SPF records, are not greylisted. */
#include "ctl/entries.h"
#include "ctl/greylist.h"
#include "ctl/output.h"
#include "dns/dns.h"
#include "dns/whitelisted_domain.h"
#include "runtime/fiber.h"
#include "util/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct postern_statement LIST = {
    .sql = "SELECT whitelisted.domain, COUNT(known.network)"
           " FROM greylisting_whitelist_domains AS whitelisted"
           " LEFT JOIN greylisting_whitelist_domain_networks AS known"
           "  ON known.domain = whitelisted.domain"
           " GROUP BY whitelisted.domain ORDER BY whitelisted.domain LIMIT ? OFFSET ?"};

static const struct postern_statement ADD = {
    .sqlite = "INSERT INTO greylisting_whitelist_domains (domain)"
              " SELECT json_extract(value, '$[0]') FROM json_each(?) WHERE true"
              " ON CONFLICT DO NOTHING",
    .pgsql = "INSERT INTO greylisting_whitelist_domains (domain)"
             " SELECT item->>0 FROM jsonb_array_elements(CAST(? AS jsonb)) AS item"
             " WHERE NOT EXISTS (SELECT FROM greylisting_whitelist_domains AS present"
             "  WHERE present.domain = item->>0) ON CONFLICT DO NOTHING",
    .mysql = "INSERT IGNORE INTO greylisting_whitelist_domains (domain)"
             " SELECT item.domain FROM JSON_TABLE(?, '$[*]' COLUMNS"
             "  (domain VARCHAR(255) CHARACTER SET utf8mb4 PATH '$[0]')) AS item"
             " WHERE NOT EXISTS (SELECT 1 FROM greylisting_whitelist_domains AS present"
             "  WHERE present.domain = item.domain)",
    .repeatable = true};

static const struct postern_statement LISTED = {
    .sql = "SELECT domain FROM greylisting_whitelist_domains WHERE domain = ?"};

static const struct column list_columns[] = {
    {"DOMAIN", "domain", COLUMN_TEXT},
    {"NETWORKS", "networks", COLUMN_INTEGER},
};

/* --- reading --- */

static bool is_domain(const char *text)
{
    return strlen(text) <= WHITELISTED_DOMAIN_LENGTH && postern_domain_is_valid(text);
}

static const struct entry_rule rule = {.accepts = is_domain, .expected = "example.com"};

static enum ctl_status read_input(struct ctl *ctl, struct input *input)
{
    *input = (struct input){0};
    if (ctl->operands.count == 0) {
        ctl_complain("which domains? Give one or more, or - to read them from standard input, a "
                     "line each");
        return CTL_USAGE;
    }
    return input_add(ctl, input, "DOMAIN", ctl->operands, 0) ? CTL_DONE : CTL_UNREACHABLE;
}

/* --- list, add, delete --- */

enum ctl_status domain_list(struct ctl *ctl)
{
    struct postern_rows rows;
    enum postern_lookup lookup = ctl_query_all(ctl, "iredapd", &LIST, POSTERN_NO_VALUES, &rows);
    return output_list(ctl, list_columns, sizeof list_columns / sizeof list_columns[0], lookup,
                       &rows, false);
}

enum ctl_status domain_add(struct ctl *ctl)
{
    struct input input;
    struct entries entries;
    enum ctl_status status = read_input(ctl, &input);
    if (status == CTL_DONE)
        status = entries_read(ctl, &rule, &input, &entries);
    if (status != CTL_DONE)
        return status;
    struct entries_step step = {&ADD, POSTERN_VALUES(entries_json())};
    int64_t changed;
    if (!entries_write(ctl, "iredapd", &entries, &step, 1, &changed))
        return CTL_UNREACHABLE;
    const char *domains = entries_text(ctl, &entries, "domains");
    if (changed == 0)
        return output_unchanged(ctl, "%s: whitelisted already", domains);
    return output_change(ctl, changed,
                         "%s: whitelisted; the daemon looks the networks up within an hour, and "
                         "`posternctl greylist domain refresh` at once",
                         domains);
}

static void show_progress(size_t done, size_t count)
{
    if (count < 2 || !isatty(STDERR_FILENO))
        return;
    if (done < count)
        fprintf(stderr, "%zu of %zu\r", done, count);
    else
        fprintf(stderr, "%40s\r", "");
}

static double soon(const struct ctl *ctl, int usual)
{
    return fiber_now() + ctl_patience(ctl, usual);
}

/* How many were whitelisted; -1 after a complaint. */
static int64_t remove_all(struct ctl *ctl, const struct entries *entries)
{
    struct db *db = databases_find(&ctl->databases, "iredapd");
    struct whitelisted_change change;
    struct postern_error error;
    int64_t removed = 0;
    for (size_t i = 0; i < entries->count; i++) {
        show_progress(i, entries->count);
        enum postern_lookup lookup = whitelisted_domain_remove(
            db, entries->items[i].text, soon(ctl, CTL_TIMEOUT), &change, &error);
        if (lookup == POSTERN_FAILED) {
            ctl_complain("%s; %zu of %zu domains are done", error.text, i, entries->count);
            return -1;
        }
        removed += lookup == POSTERN_FOUND;
    }
    show_progress(entries->count, entries->count);
    return removed;
}

enum ctl_status domain_delete(struct ctl *ctl)
{
    struct input input;
    struct entries entries;
    enum ctl_status status = read_input(ctl, &input);
    if (status == CTL_DONE)
        status = entries_named(ctl, &rule, &input, &entries);
    if (status != CTL_DONE)
        return status;
    int64_t removed = remove_all(ctl, &entries);
    const char *domains = entries_text(ctl, &entries, "domains");
    if (removed < 0)
        return CTL_UNREACHABLE;
    if (removed == 0 && entries_refuse(ctl, &rule, &input) != CTL_DONE)
        return CTL_USAGE;
    if (removed == 0)
        return output_change(ctl, 0,
                             "%s: not whitelisted; `posternctl greylist domain list` shows what is",
                             domains);
    return output_change(ctl, removed,
                         "%s: not whitelisted any more, nor are networks that no other "
                         "whitelisted domain has",
                         domains);
}

/* --- refresh --- */

static const struct column refresh_columns[] = {
    {"DOMAIN", "domain", COLUMN_TEXT},        {"RESULT", "result", COLUMN_TEXT},
    {"NETWORKS", "networks", COLUMN_INTEGER}, {"ADDED", "added", COLUMN_INTEGER},
    {"REMOVED", "removed", COLUMN_INTEGER},   {"LEFT OUT", "left_out", COLUMN_INTEGER},
    {"PROBLEM", "problem", COLUMN_TEXT},
};
#define REFRESH_COLUMNS (sizeof refresh_columns / sizeof refresh_columns[0])

/* One domain's row: what came of it. */
static enum ctl_status show(struct postern_value *cells, const char *domain, const char *result,
                            const char *problem, enum ctl_status status)
{
    for (size_t i = 0; i < REFRESH_COLUMNS; i++)
        cells[i] = postern_null();
    cells[0] = postern_text(domain);
    cells[1] = postern_text(result);
    cells[REFRESH_COLUMNS - 1] = postern_text(problem);
    return status;
}

static enum ctl_status refresh_listed(struct ctl *ctl, const char *domain,
                                      struct postern_value *cells)
{
    struct spf_networks networks;
    struct whitelisted_change change;
    struct postern_error error;
    spf_networks_find(domain, dns_query, ctl->arena, soon(ctl, WHITELISTED_DOMAIN_TIME), &networks);
    if (networks.result == SPF_NETWORKS_FAILED)
        return show(cells, domain, "failed", networks.problem, CTL_UNREACHABLE);
    if (!whitelisted_domain_replace(databases_find(&ctl->databases, "iredapd"), domain, &networks,
                                    soon(ctl, CTL_TIMEOUT), &change, &error))
        return show(cells, domain, "failed", postern_strdup(ctl->arena, error.text),
                    CTL_UNREACHABLE);
    show(cells, domain, networks.count > 0 ? "networks" : "none", "", CTL_DONE);
    cells[2] = postern_integer((int64_t)networks.count);
    cells[3] = postern_integer(change.added);
    cells[4] = postern_integer(change.removed);
    cells[5] = postern_integer(networks.left_out);
    return CTL_DONE;
}

static enum ctl_status refresh_one(struct ctl *ctl, const char *domain, struct postern_value *cells)
{
    struct postern_rows rows;
    ctl->deadline = soon(ctl, CTL_TIMEOUT);
    enum postern_lookup lookup =
        ctl_query(ctl, &LISTED, POSTERN_VALUES(postern_text(domain)), &rows);
    if (lookup == POSTERN_FAILED)
        return show(cells, domain, "failed", "the database does not answer", CTL_UNREACHABLE);
    if (lookup == POSTERN_NOT_FOUND)
        return show(cells, domain, "unknown", "it is not whitelisted", CTL_NOTHING);
    return refresh_listed(ctl, domain, cells);
}

static bool take_all(struct ctl *ctl, struct postern_names *domains)
{
    struct postern_rows rows;
    if (ctl_query_all(ctl, "iredapd", &LIST, POSTERN_NO_VALUES, &rows) == POSTERN_FAILED)
        return false;
    for (size_t i = 0; i < rows.count; i++)
        names_add(ctl->arena, domains, postern_row_text(&rows, i, 0));
    return true;
}

/* Those named, else all. */
static enum ctl_status read_domains(struct ctl *ctl, struct postern_names *domains)
{
    struct input input;
    struct entries entries;
    *domains = (struct postern_names){0};
    if (ctl->operands.count == 0)
        return take_all(ctl, domains) ? CTL_DONE : CTL_UNREACHABLE;
    enum ctl_status status = read_input(ctl, &input);
    if (status == CTL_DONE)
        status = entries_read(ctl, &rule, &input, &entries);
    for (size_t i = 0; status == CTL_DONE && i < entries.count; i++)
        names_add(ctl->arena, domains, entries.items[i].text);
    return status;
}

enum ctl_status domain_refresh(struct ctl *ctl)
{
    struct postern_names domains;
    enum ctl_status status = read_domains(ctl, &domains);
    if (status != CTL_DONE)
        return status;
    struct postern_value *cells =
        postern_alloc(ctl->arena, (domains.count + 1) * REFRESH_COLUMNS * sizeof *cells);
    for (size_t i = 0; i < domains.count; i++) {
        show_progress(i, domains.count);
        enum ctl_status one = refresh_one(ctl, domains.items[i], cells + i * REFRESH_COLUMNS);
        status = one > status ? one : status;
    }
    show_progress(domains.count, domains.count);
    struct postern_rows rows = {.count = domains.count, .columns = REFRESH_COLUMNS, .cells = cells};
    output_table(ctl, refresh_columns, &rows);
    return status;
}
