#include "daemon/domain_refresh.h"

#include "dns/dns.h"
#include "dns/whitelisted_domain.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "util/arena.h"
#include "util/buffer.h"

#include <errno.h>
#include <string.h>

#define TIMEOUT 30.0 /* seconds, of what the database is asked */
#define AT_ONCE 8    /* domains, so that one whose DNS does not answer holds up few */

struct refresh {
    struct db *db;
    bool (*go_on)(void *context);
    void *context;
    size_t running;
    struct fiber_cond ended;
};

struct domain {
    struct refresh *refresh;
    const char *name;
};

/* --- one domain --- */

static void tell(const char *domain, const struct spf_networks *networks,
                 const struct whitelisted_change *change)
{
    if (change->added > 0 || change->removed > 0)
        log_info("whitelisted domain %s: %zu networks, %lld added, %lld removed", domain,
                 networks->count, (long long)change->added, (long long)change->removed);
}

static void expand(struct db *db, const char *domain, struct postern_arena *arena)
{
    struct spf_networks networks;
    struct whitelisted_change change;
    struct postern_error error;
    spf_networks_find(domain, dns_query, arena, fiber_now() + WHITELISTED_DOMAIN_TIME, &networks);
    if (networks.result == SPF_NETWORKS_FAILED)
        log_warning("whitelisted domain %s: its networks stay as they are: %s", domain,
                    networks.problem);
    else if (!whitelisted_domain_replace(db, domain, &networks, fiber_now() + TIMEOUT, &change,
                                         &error))
        log_warning("whitelisted domain %s: its networks were not written: %s", domain, error.text);
    else
        tell(domain, &networks, &change);
}

static void domain_main(void *arg)
{
    struct domain *domain = arg;
    struct refresh *refresh = domain->refresh;
    struct postern_arena *arena = arena_new();
    expand(refresh->db, domain->name, arena);
    arena_free(arena);
    refresh->running--;
    fiber_cond_signal(&refresh->ended);
}

/* --- all of them --- */

static void wait_for_fewer(struct refresh *refresh, size_t limit)
{
    while (refresh->running >= limit)
        fiber_cond_wait(&refresh->ended, NEVER);
}

static void start(struct refresh *refresh, const char *name, struct postern_arena *arena)
{
    if (strlen(name) > WHITELISTED_DOMAIN_LENGTH) {
        log_warning("whitelisted domain %s: it is too long to be one", name);
        return;
    }
    struct domain *domain = postern_alloc(arena, sizeof *domain);
    *domain = (struct domain){refresh, name};
    wait_for_fewer(refresh, AT_ONCE);
    refresh->running++;
    if (fiber_spawn(domain_main, domain))
        return;
    refresh->running--;
    log_warning("whitelisted domain %s: %s", name, strerror(errno));
}

static bool refresh_page(struct refresh *refresh, const struct postern_names *page,
                         struct postern_arena *arena)
{
    bool goes_on = true;
    for (size_t i = 0; i < page->count && goes_on; i++) {
        goes_on = refresh->go_on(refresh->context);
        if (goes_on)
            start(refresh, page->items[i], arena);
    }
    wait_for_fewer(refresh, 1);
    return goes_on;
}

static bool clear_page(struct refresh *refresh, const struct postern_names *page,
                       struct postern_arena *arena)
{
    (void)arena;
    struct whitelisted_change change;
    struct postern_error error;
    for (size_t i = 0; i < page->count; i++) {
        if (!refresh->go_on(refresh->context))
            return false;
        if (!whitelisted_domain_clear(refresh->db, page->items[i], fiber_now() + TIMEOUT, &change,
                                      &error))
            log_warning("domain %s is not whitelisted any more, and its networks are: %s",
                        page->items[i], error.text);
        else if (change.removed > 0)
            log_info("domain %s is not whitelisted any more: %lld networks removed", page->items[i],
                     (long long)change.removed);
    }
    return true;
}

/* The two parts: whose domains, and what is done with some of them at a time. */
struct part {
    bool (*next)(struct db *db, const char *after, struct postern_arena *arena, double deadline,
                 struct postern_names *domains, struct postern_error *error);
    bool (*run)(struct refresh *refresh, const struct postern_names *page,
                struct postern_arena *arena);
};
static const struct part gone = {whitelisted_domains_gone, clear_page};
static const struct part present = {whitelisted_domains_next, refresh_page};

/* After the last domain of the page before; false at the end. */
static bool run_page(struct refresh *refresh, const struct part *part, struct buffer *after)
{
    struct postern_error error;
    struct postern_names page;
    struct postern_arena *arena = arena_new();
    bool goes_on =
        part->next(refresh->db, after->data, arena, fiber_now() + TIMEOUT, &page, &error);
    if (!goes_on)
        log_warning("whitelisted domains are not refreshed: %s", error.text);
    goes_on = goes_on && page.count > 0 && part->run(refresh, &page, arena);
    buffer_clear(after);
    if (goes_on)
        buffer_text(after, page.items[page.count - 1]);
    arena_free(arena);
    return goes_on;
}

static void run_part(struct refresh *refresh, const struct part *part)
{
    struct buffer after = {0};
    buffer_char(&after, '\0');
    while (run_page(refresh, part, &after))
        ;
    buffer_free(&after);
}

void domain_refresh_all(struct db *db, bool (*go_on)(void *context), void *context)
{
    struct refresh refresh = {.db = db, .go_on = go_on, .context = context};
    run_part(&refresh, &gone);
    run_part(&refresh, &present);
}
