#include "db/lease.h"

#include "runtime/clock.h"
#include "util/arena.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const struct postern_statement TAKE = {
    .sql = "UPDATE postern_leases SET holder = ?, expires = ?"
           " WHERE name = ? AND (holder = ? OR expires <= ?)",
    .repeatable = true};

static const struct postern_statement GIVE = {
    .sql = "UPDATE postern_leases SET expires = 0 WHERE name = ? AND holder = ?",
    .repeatable = true};

/* Host names and process ids are the same in many containers. */
static void name_holder(struct lease *lease)
{
    char host[64] = "";
    unsigned long long number = 0;
    gethostname(host, sizeof host - 1);
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        number = (unsigned long long)clock_wall();
    snprintf(lease->holder, sizeof lease->holder, "%s %d %llx", host, (int)getpid(), number);
}

static enum postern_lookup ask(const struct lease *lease, const struct postern_statement *statement,
                               const struct postern_value *values, size_t count, double deadline,
                               struct postern_error *error)
{
    struct postern_rows rows;
    struct db_query query = {.statement = statement,
                             .values = values,
                             .count = count,
                             .arena = arena_new(),
                             .deadline = deadline};
    enum postern_lookup lookup = db_query(lease->db, &query, &rows, error);
    arena_free(query.arena);
    return lookup;
}

enum postern_lookup lease_take(struct lease *lease, double deadline, struct postern_error *error)
{
    int64_t now = clock_wall();
    if (lease->holder[0] == '\0')
        name_holder(lease);
    struct postern_value holder = postern_text(lease->holder);
    return ask(lease, &TAKE,
               POSTERN_VALUES(holder, postern_integer(now + lease->seconds),
                              postern_text(lease->name), holder, postern_integer(now)),
               deadline, error);
}

void lease_give(struct lease *lease, double deadline)
{
    struct postern_error unimportant;
    ask(lease, &GIVE, POSTERN_VALUES(postern_text(lease->name), postern_text(lease->holder)),
        deadline, &unimportant);
}
