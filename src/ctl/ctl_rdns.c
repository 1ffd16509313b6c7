#include "ctl/nouns.h"
#include "ctl/output.h"
#include "ctl/wb.h"
#include <stdio.h>
#include <string.h>

static const struct postern_statement LIST = {
    .sql = "SELECT rdns, " WB_NAME " FROM wblist_rdns ORDER BY rdns LIMIT ? OFFSET ?"};

static const struct postern_statement SET = {
    .sqlite = "INSERT INTO wblist_rdns (rdns, wb) "
              "SELECT json_extract(value, '$[0]'), json_extract(value, '$[2]') "
              "FROM json_each(?) WHERE true ON CONFLICT (rdns) DO UPDATE SET wb = excluded.wb",
    .pgsql = "INSERT INTO wblist_rdns (rdns, wb) SELECT item->>0, item->>2 "
             "FROM jsonb_array_elements(CAST(? AS jsonb)) AS item "
             "ON CONFLICT (rdns) DO UPDATE SET wb = excluded.wb",
    .mysql = "INSERT INTO wblist_rdns (rdns, wb) SELECT item.rdns, item.wb "
             "FROM JSON_TABLE(?, '$[*]' COLUMNS (rdns VARCHAR(255) PATH '$[0]', "
             "wb CHAR(1) PATH '$[2]')) AS item ON DUPLICATE KEY UPDATE wb = VALUES(wb)",
    .repeatable = true};

static const struct postern_statement DELETE = {
    .sql = "DELETE FROM wblist_rdns WHERE wb = ? AND rdns IN (?...)", .repeatable = true};

static const struct column columns[] = {
    {"NAME", "name", COLUMN_TEXT},
    {"LIST", "list", COLUMN_TEXT},
};

/* A name as the reverse lookup answers it, or a dot and a domain, for the names in that. */
static bool is_name(const char *text)
{
    struct postern_ip ip;
    const char *name = text + (text[0] == '.');
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80 || *c == '[')
            return false;
    char account[300];
    if (strlen(name) > 255 || postern_ip_parse(name, &ip))
        return false;
    snprintf(account, sizeof account, "@%s", name);
    return postern_account_form(account) == POSTERN_ACCOUNT_DOMAIN;
}

static const struct entry_rule rule = {
    .accepts = is_name,
    .expected = "mx.example.com (that name only), .example.com (all names in that domain, and "
                "itself)"};

static enum ctl_status list(struct ctl *ctl)
{
    struct postern_rows rows;
    enum postern_lookup lookup = ctl_query_all(ctl, "iredapd", &LIST, POSTERN_NO_VALUES, &rows);
    if (lookup != POSTERN_FAILED) {
        enum ctl_status status = wb_filter(ctl, &rule, &rows, 0, 1);
        if (status != CTL_DONE)
            return status;
    }
    return output_list(ctl, columns, sizeof columns / sizeof columns[0], lookup, &rows,
                       wb_is_filtered(ctl));
}

static enum ctl_status add(struct ctl *ctl)
{
    struct entries entries;
    enum ctl_status status = wb_read(ctl, &rule, &entries);
    if (status != CTL_DONE)
        return status;
    struct entries_step step = {&SET, POSTERN_VALUES(entries_json())};
    int64_t changed;
    if (!entries_write(ctl, "iredapd", &entries, &step, 1, &changed))
        return CTL_UNREACHABLE;
    return output_change(ctl, (int64_t)entries.count, "%s", wb_sentence(ctl, &entries, "names"));
}

static enum ctl_status delete_names(struct ctl *ctl)
{
    struct input input = {0};
    struct entries entries;
    enum ctl_status status = wb_named(ctl, &rule, &input, &entries);
    if (status != CTL_DONE)
        return status;
    struct entries_step step = {&DELETE, POSTERN_VALUES(postern_null(), entries_names())};
    int64_t changed;
    if (!wb_delete(ctl, "iredapd", &entries, &step, &changed))
        return CTL_UNREACHABLE;
    return wb_deleted(ctl, &rule, &input, &entries, "rdns", changed);
}

static const struct command_option filters[] = {
    {"whitelist", "NAME...", "only the whitelist, or only these of it", .values = VALUES_ANY},
    {"blacklist", "NAME...", "only the blacklist, or only these of it", .values = VALUES_ANY},
    {NULL}};
static const struct command_option names[] = {
    {"whitelist", "NAME...", "names or .domains; - reads them from standard input",
     .values = VALUES_SEVERAL},
    {"blacklist", "NAME...", "the same for the other list", .values = VALUES_SEVERAL},
    {NULL}};

static const struct command commands[] = {
    {"list", NULL, "which names of clients are white- and blacklisted", filters, NEEDS_DATABASE,
     list},
    {"add", NULL, "white- or blacklists clients by the names of their addresses", names,
     NEEDS_MIGRATED, add},
    {"delete", NULL, "removes names from the lists", names, NEEDS_DATABASE, delete_names},
    {NULL},
};

const struct noun noun_rdns = {"rdns", "white- and blacklist of the names of clients", commands};
