#include "srs/rewrite.h"

#include "directory/directory.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "util/names.h"
#include <string.h>
#include <unistd.h>

/* RFC 5321, 4.5.3.1; there are servers that refuse what is longer, and many that don't. */
#define LOCAL_PART_MAX 64
#define ADDRESS_MAX    254

#define HOST_ROOM 256

static const struct postern_statement EXCLUDED = {
    .sql = "SELECT domain FROM srs_exclude_domains WHERE domain IN (?...) LIMIT 1"};

static const char *const reverse_reasons[] = {
    [SRS_REWRITTEN] = "",
    [SRS_NOT_AN_ADDRESS] = "it is no SRS address of this domain",
    [SRS_BAD_HASH] = "its hash was made with no secret that is known here",
    [SRS_EXPIRED] = "it is older than 21 days",
};

/* --- what is not rewritten --- */

/* a.example.com: itself and its parents, each with and without a leading dot. */
static struct postern_names entries_for(struct postern_arena *arena, const char *domain)
{
    struct postern_names entries = {0};
    struct postern_names candidates =
        postern_address_candidates(arena, postern_printf(arena, "x@%s", domain));
    for (size_t i = 0; i < candidates.count; i++) {
        const char *candidate = candidates.items[i];
        bool is_parent = candidate[0] == '@' && candidate[1] == '.' && candidate[2] != '\0';
        if (!is_parent)
            continue;
        names_add(arena, &entries, candidate + 1);
        names_add(arena, &entries, candidate + 2);
    }
    return entries;
}

static enum postern_lookup is_excluded(const struct rewrite *rewrite, struct postern_arena *arena,
                                       const char *domain, double deadline,
                                       struct postern_error *error)
{
    struct postern_value entries = postern_texts(entries_for(arena, domain));
    if (entries.length == 0)
        return POSTERN_NOT_FOUND;
    struct db *db = databases_find(rewrite->databases, "iredapd");
    struct db_query query = {&EXCLUDED, &entries, 1, arena, deadline};
    struct postern_rows rows;
    if (rewrite->cache == NULL)
        return db_query(db, &query, &rows, error);
    return db_query_cached(rewrite->cache, db, &query, &rows, error);
}

static enum postern_lookup is_hosted(const struct rewrite *rewrite, struct postern_arena *arena,
                                     const char *domain, double deadline,
                                     struct postern_error *error)
{
    struct directory directory = {rewrite->config, rewrite->databases, rewrite->cache};
    struct postern_domain found;
    return directory_domain(&directory, domain, arena, deadline, &found, error);
}

/*
 * What one lookup says for certain holds, even if the other has failed; so the first one, if its
 * database stalls, must leave time for the second.
 */
static enum rewrite_result look_up(const struct rewrite *rewrite, struct postern_arena *arena,
                                   const char *domain, double deadline, const char **why)
{
    struct postern_error hosted_error = {{0}}, excluded_error = {{0}};
    double now = fiber_now(), half = now + (deadline - now) / 2;
    enum postern_lookup hosted = is_hosted(rewrite, arena, domain, half, &hosted_error);
    *why = "its domain is hosted here";
    if (hosted == POSTERN_FOUND)
        return REWRITE_NOT_FOUND;
    enum postern_lookup excluded = is_excluded(rewrite, arena, domain, deadline, &excluded_error);
    *why = "its domain is excluded from rewriting";
    if (excluded == POSTERN_FOUND)
        return REWRITE_NOT_FOUND;
    if (hosted != POSTERN_FAILED && excluded != POSTERN_FAILED)
        return REWRITE_DONE;
    *why =
        postern_strdup(arena, hosted == POSTERN_FAILED ? hosted_error.text : excluded_error.text);
    return REWRITE_TRY_AGAIN;
}

/* Whether the address is to be rewritten; NOT_FOUND and TRY_AGAIN as rewrite_forward. */
static enum rewrite_result judge(const struct rewrite *rewrite, struct postern_arena *arena,
                                 const char *address, double deadline, const char **why)
{
    const char *domain = postern_lower(arena, postern_address_domain(address));
    *why = "it is not an address";
    if (domain[0] == '\0')
        return REWRITE_NOT_FOUND;
    *why = "it is in the SRS domain";
    if (strcmp(domain, rewrite->srs.domain) == 0)
        return REWRITE_NOT_FOUND;
    *why = "its domain is this host's name";
    if (strcmp(domain, rewrite->host) == 0)
        return REWRITE_NOT_FOUND;
    return look_up(rewrite, arena, domain, deadline, why);
}

/* --- rewriting --- */

static const char *remark_on(const char *address)
{
    size_t local_length = strlen(address) - strlen(postern_address_domain(address)) - 1;
    if (strlen(address) > ADDRESS_MAX)
        return "it is longer than the 254 bytes that every server must take";
    if (local_length > LOCAL_PART_MAX)
        return "its local part is longer than the 64 bytes that every server must take";
    return "";
}

void rewrite_init(struct rewrite *rewrite, const struct config *config, struct databases *databases,
                  struct db_cache *cache)
{
    char host[HOST_ROOM] = "";
    gethostname(host, sizeof host - 1);
    *rewrite = (struct rewrite){.config = config,
                                .databases = databases,
                                .cache = cache,
                                .srs = {config->srs.domain, config->srs.secrets},
                                .host = postern_lower(config->arena, host)};
}

enum rewrite_result rewrite_forward(const struct rewrite *rewrite, struct postern_arena *arena,
                                    const char *address, double deadline, const char **result,
                                    const char **why)
{
    enum rewrite_result judged = judge(rewrite, arena, address, deadline, why);
    if (judged != REWRITE_DONE)
        return judged;
    *why = "it is an address that can't be written into another";
    if (srs_forward(&rewrite->srs, arena, address, clock_wall(), result) != SRS_REWRITTEN)
        return REWRITE_NOT_FOUND;
    *why = remark_on(*result);
    return REWRITE_DONE;
}

enum rewrite_result rewrite_reverse(const struct rewrite *rewrite, struct postern_arena *arena,
                                    const char *address, const char **result, const char **why)
{
    enum srs_result reversed = srs_reverse(&rewrite->srs, arena, address, clock_wall(), result);
    *why = reverse_reasons[reversed];
    return reversed == SRS_REWRITTEN ? REWRITE_DONE : REWRITE_NOT_FOUND;
}
