/* What greylisting counts (behaviour.md, points 4 and 5), on each kind of database. */
#include "db_driver_check.h"

#include "../../plugins/greylisting/greylisting.h"
#include "db/migration.h"
#include "policy/request.h"

#define FIBERS 64

#define NOW   1000000
#define BLOCK 900
#define DAY   86400
#define MONTH (30 * DAY)

static struct databases databases;

static struct options options;

static const char *status_name(enum triplet_status status)
{
    static const char *const names[] = {"client passed", "first seen", "too early", "passed now",
                                        "failed"};
    return names[status];
}

/* --- requests --- */

struct attempt {
    struct request_work work;
    struct postern_request request;
    struct triplet triplet;
};

static struct attempt attempt_at(int64_t now, const char *client, const char *recipient)
{
    struct attempt attempt = {
        .work.databases = &databases,
        .request = {.now = now, .arena = arena_new(), .deadline = fiber_now() + check_seconds},
        .triplet = {.sender = "a@a.example",
                    .recipient = recipient,
                    .sender_domain = "a.example",
                    .recipient_domain = "b.example",
                    .client = client}};
    return attempt;
}

static void attempt_free(struct attempt *attempt)
{
    CHECK(attempt->work.verdict.failure == NULL, "%s", attempt->work.verdict.failure);
    arena_free(attempt->request.arena);
}

static enum triplet_status try(struct attempt *attempt)
{
    attempt->request.work = &attempt->work;
    enum triplet_status status = triplet_try(&attempt->request, &options, &attempt->triplet);
    CHECK(status != TRIPLET_FAILED, "%s", attempt->work.verdict.failure);
    return status;
}

#define EXPECT(expected, now, client, recipient)                                                   \
    do {                                                                                           \
        struct attempt attempt_ = attempt_at(now, client, recipient);                              \
        enum triplet_status status_ = try(&attempt_);                                              \
        CHECK(status_ == (expected), "%s", status_name(status_));                                  \
        seconds = attempt_.triplet.seconds;                                                        \
        attempt_free(&attempt_);                                                                   \
    } while (0)

#define CLIENT "192.0.2.1"
#define OTHER  "192.0.2.2"
#define RCPT   "b@b.example"
#define RCPT_2 "c@b.example"
#define RCPT_3 "d@b.example"

static int64_t seconds; /* of the last EXPECT */

/* --- the table --- */

static int64_t ask(const struct postern_statement *statement, const struct postern_value *values,
                   size_t count)
{
    struct postern_arena *arena = arena_new();
    struct db_query query = {statement, values, count, arena, fiber_now() + check_seconds};
    struct postern_rows rows;
    struct postern_error error = {.text = "nothing was found"};
    CHECK(db_query(databases.list[0], &query, &rows, &error) == POSTERN_FOUND, "%s", error.text);
    int64_t answer = postern_row_integer(&rows, 0, 0);
    arena_free(arena);
    return answer;
}

static int64_t rows_of(const char *client)
{
    static const struct postern_statement count = {
        .sql = "SELECT COUNT(*) FROM greylisting_tracking WHERE client_address = ?"};
    return ask(&count, POSTERN_VALUES(postern_text(client)));
}

struct row {
    int64_t init_time, block_expired, record_expired, blocked_count, passed;
};

#define COLUMN(column)                                                                             \
    {                                                                                              \
        .sql = "SELECT " column " FROM greylisting_tracking"                                       \
               " WHERE client_address = ? AND recipient = ?"                                       \
    }

static struct row row_of(const char *client, const char *recipient)
{
    static const struct postern_statement columns[] = {
        COLUMN("init_time"),     COLUMN("block_expired"), COLUMN("record_expired"),
        COLUMN("blocked_count"), COLUMN("passed"),
    };
    int64_t cells[5];
    for (size_t i = 0; i < 5; i++)
        cells[i] = ask(&columns[i], POSTERN_VALUES(postern_text(client), postern_text(recipient)));
    return (struct row){cells[0], cells[1], cells[2], cells[3], cells[4]};
}

static void row_is(const char *client, const char *recipient, struct row expected)
{
    struct row row = row_of(client, recipient);
    CHECK(row.init_time == expected.init_time, "%ld", (long)row.init_time);
    CHECK(row.block_expired == expected.block_expired, "%ld", (long)row.block_expired);
    CHECK(row.record_expired == expected.record_expired, "%ld", (long)row.record_expired);
    CHECK(row.blocked_count == expected.blocked_count, "%ld", (long)row.blocked_count);
    CHECK(row.passed == expected.passed, "%ld", (long)row.passed);
}

static void script(const char *sql)
{
    struct postern_error error;
    CHECK(db_script(databases.list[0], sql, fiber_now() + check_seconds, &error), "%s", error.text);
}

/* As iRedAPD makes them in MySQL: narrow, and without a sign. */
static const char OLD_COLUMNS[] =
    "ALTER TABLE greylisting_tracking MODIFY init_time INT(10) UNSIGNED NOT NULL DEFAULT 0,"
    " MODIFY block_expired INT(10) UNSIGNED NOT NULL DEFAULT 0,"
    " MODIFY record_expired INT(10) UNSIGNED NOT NULL DEFAULT 0,"
    " MODIFY blocked_count MEDIUMINT(8) NOT NULL DEFAULT 0,"
    " MODIFY passed TINYINT(1) NOT NULL DEFAULT 0";

static void begin(void)
{
    check_config.name = "iredapd";
    databases.list[databases.count++] = db_new(&check_config);
    options = (struct options){.block_expire = BLOCK,
                               .unauth_triplet_expire = DAY,
                               .auth_triplet_expire = MONTH,
                               .auto_whitelist_after = 1};
    script("DROP TABLE IF EXISTS greylisting_tracking");
    for (size_t i = 0; i < migrations_count; i++)
        if (strcmp(migrations[i].driver, check_config.driver) == 0 && migrations[i].version == 1)
            script(migrations[i].sql);
    if (check_old_tables)
        script(OLD_COLUMNS);
}

static void end(void)
{
    databases_close(&databases);
}

/* --- point 5: the triplet --- */

static void new_triplet_is_first_seen(void)
{
    begin();
    EXPECT(TRIPLET_FIRST_SEEN, NOW, CLIENT, RCPT);
    CHECK(seconds == BLOCK, "%ld", (long)seconds);
    row_is(CLIENT, RCPT, (struct row){NOW, NOW + BLOCK, NOW + DAY, 0, 0});
    end();
}

static void retry_before_block_expires_is_too_early(void)
{
    begin();
    EXPECT(TRIPLET_FIRST_SEEN, NOW, CLIENT, RCPT);
    EXPECT(TRIPLET_TOO_EARLY, NOW, CLIENT, RCPT);
    CHECK(seconds == BLOCK, "%ld", (long)seconds);
    EXPECT(TRIPLET_TOO_EARLY, NOW + BLOCK - 1, CLIENT, RCPT);
    CHECK(seconds == 1, "%ld", (long)seconds);
    row_is(CLIENT, RCPT, (struct row){NOW, NOW + BLOCK, NOW + DAY, 2, 0});
    end();
}

static void retry_after_block_expires_passes(void)
{
    begin();
    EXPECT(TRIPLET_FIRST_SEEN, NOW, CLIENT, RCPT);
    EXPECT(TRIPLET_TOO_EARLY, NOW + 1, CLIENT, RCPT);
    EXPECT(TRIPLET_PASSED_NOW, NOW + BLOCK, CLIENT, RCPT);
    CHECK(seconds == BLOCK, "%ld", (long)seconds);
    row_is(CLIENT, RCPT, (struct row){NOW, NOW + BLOCK, NOW + BLOCK + MONTH, 1, 1});
    end();
}

static void expired_triplet_starts_over(void)
{
    begin();
    EXPECT(TRIPLET_FIRST_SEEN, NOW, CLIENT, RCPT);
    EXPECT(TRIPLET_TOO_EARLY, NOW + 1, CLIENT, RCPT);
    int64_t later = NOW + DAY;
    EXPECT(TRIPLET_FIRST_SEEN, later, CLIENT, RCPT);
    CHECK(seconds == BLOCK, "%ld", (long)seconds);
    row_is(CLIENT, RCPT, (struct row){later, later + BLOCK, later + DAY, 0, 0});
    end();
}

static void passed_triplet_that_expired_starts_over(void)
{
    begin();
    EXPECT(TRIPLET_FIRST_SEEN, NOW, CLIENT, RCPT);
    EXPECT(TRIPLET_PASSED_NOW, NOW + BLOCK, CLIENT, RCPT);
    int64_t later = NOW + BLOCK + MONTH;
    EXPECT(TRIPLET_CLIENT_PASSED, later - 1, CLIENT, RCPT);
    EXPECT(TRIPLET_FIRST_SEEN, later, CLIENT, RCPT);
    row_is(CLIENT, RCPT, (struct row){later, later + BLOCK, later + DAY, 0, 0});
    end();
}

static void other_clients_and_recipients_are_other_triplets(void)
{
    begin();
    EXPECT(TRIPLET_FIRST_SEEN, NOW, CLIENT, RCPT);
    EXPECT(TRIPLET_FIRST_SEEN, NOW + 1, CLIENT, RCPT_2);
    EXPECT(TRIPLET_FIRST_SEEN, NOW + 1, OTHER, RCPT);
    row_is(CLIENT, RCPT, (struct row){NOW, NOW + BLOCK, NOW + DAY, 0, 0});
    end();
}

/* --- point 4: the client --- */

static void client_that_passed_writes_nothing(void)
{
    begin();
    EXPECT(TRIPLET_FIRST_SEEN, NOW, CLIENT, RCPT);
    EXPECT(TRIPLET_PASSED_NOW, NOW + BLOCK, CLIENT, RCPT);
    struct row before = row_of(CLIENT, RCPT);
    EXPECT(TRIPLET_CLIENT_PASSED, NOW + DAY, CLIENT, RCPT);
    EXPECT(TRIPLET_CLIENT_PASSED, NOW + DAY, CLIENT, RCPT_2);
    EXPECT(TRIPLET_FIRST_SEEN, NOW + DAY, OTHER, RCPT_2);
    CHECK(rows_of(CLIENT) == 1, "%ld rows", (long)rows_of(CLIENT));
    row_is(CLIENT, RCPT, before);
    end();
}

static void client_needs_as_many_triplets_as_configured(void)
{
    begin();
    options.auto_whitelist_after = 2;
    EXPECT(TRIPLET_FIRST_SEEN, NOW, CLIENT, RCPT);
    EXPECT(TRIPLET_PASSED_NOW, NOW + BLOCK, CLIENT, RCPT);
    EXPECT(TRIPLET_CLIENT_PASSED, NOW + BLOCK, CLIENT, RCPT);
    EXPECT(TRIPLET_FIRST_SEEN, NOW + BLOCK, CLIENT, RCPT_2);
    EXPECT(TRIPLET_PASSED_NOW, NOW + 2 * BLOCK, CLIENT, RCPT_2);
    EXPECT(TRIPLET_CLIENT_PASSED, NOW + 2 * BLOCK, CLIENT, RCPT_3);
    end();
}

static void forget(const char *client, int64_t now)
{
    struct attempt attempt = attempt_at(now, client, RCPT);
    attempt.request.work = &attempt.work;
    triplet_forget_others(&attempt.request, &options, &attempt.triplet);
    attempt_free(&attempt);
}

static void other_triplets_of_a_passed_client_are_forgotten(void)
{
    begin();
    EXPECT(TRIPLET_FIRST_SEEN, NOW, CLIENT, RCPT);
    EXPECT(TRIPLET_FIRST_SEEN, NOW, CLIENT, RCPT_2);
    EXPECT(TRIPLET_FIRST_SEEN, NOW, OTHER, RCPT);
    forget(CLIENT, NOW);
    CHECK(rows_of(CLIENT) == 2, "%ld rows", (long)rows_of(CLIENT));
    EXPECT(TRIPLET_PASSED_NOW, NOW + BLOCK, CLIENT, RCPT);
    forget(CLIENT, NOW + BLOCK);
    CHECK(rows_of(CLIENT) == 1 && rows_of(OTHER) == 1, "%ld rows", (long)rows_of(CLIENT));
    CHECK(row_of(CLIENT, RCPT).passed == 1, "the wrong one is left");
    end();
}

static void extend(int64_t now)
{
    struct attempt attempt = attempt_at(now, CLIENT, RCPT);
    attempt.request.work = &attempt.work;
    triplet_extend(&attempt.request, &options, &attempt.triplet);
    attempt_free(&attempt);
}

static void passed_client_lives_on_when_a_tenth_is_gained(void)
{
    begin();
    EXPECT(TRIPLET_FIRST_SEEN, NOW, CLIENT, RCPT);
    EXPECT(TRIPLET_PASSED_NOW, NOW + BLOCK, CLIENT, RCPT);
    int64_t passed = NOW + BLOCK;
    extend(passed + MONTH / 10 - 1);
    CHECK(row_of(CLIENT, RCPT).record_expired == passed + MONTH, "it was written too early");
    extend(passed + MONTH / 10);
    CHECK(row_of(CLIENT, RCPT).record_expired == passed + MONTH / 10 + MONTH, "not written");
    end();
}

/* --- many at once --- */

static size_t running, counts[5];

static void try_once(void *arg)
{
    const char *recipient = arg;
    struct attempt attempt = attempt_at(NOW, CLIENT, recipient);
    counts[try(&attempt)]++;
    attempt_free(&attempt);
    running--;
}

static void wait_for_all(void)
{
    double until = fiber_now() + check_seconds;
    while (running > 0)
        CHECK(fiber_sleep(0.005, until), "%zu have not ended", running);
}

static void one_of_many_at_once_is_first_seen(void)
{
    begin();
    for (running = 0; running < FIBERS; running++)
        CHECK(fiber_spawn(try_once, (void *)RCPT), "no memory");
    wait_for_all();
    CHECK(counts[TRIPLET_FIRST_SEEN] == 1, "%zu", counts[TRIPLET_FIRST_SEEN]);
    CHECK(counts[TRIPLET_TOO_EARLY] == FIBERS - 1, "%zu", counts[TRIPLET_TOO_EARLY]);
    row_is(CLIENT, RCPT, (struct row){NOW, NOW + BLOCK, NOW + DAY, FIBERS - 1, 0});
    end();
}

/* Each in its own order over the same rows, with deletions between: this is where locks meet. */
static void try_many(void *arg)
{
    unsigned number = (unsigned)(uintptr_t)arg;
    for (unsigned turn = 0; turn < 40; turn++) {
        struct attempt attempt = attempt_at(NOW + turn * 60, CLIENT, NULL);
        attempt.triplet.recipient =
            postern_printf(attempt.request.arena, "r%u@b.example", (turn * (2 * number + 1)) % 32);
        if (try(&attempt) == TRIPLET_PASSED_NOW || turn % 8 == 7)
            triplet_forget_others(&attempt.request, &options, &attempt.triplet);
        triplet_extend(&attempt.request, &options, &attempt.triplet);
        attempt_free(&attempt);
    }
    running--;
}

static void locks_that_meet_fail_nobody(void)
{
    begin();
    options.auto_whitelist_after = 5;
    for (running = 0; running < FIBERS; running++)
        CHECK(fiber_spawn(try_many, (void *)(uintptr_t)running), "no memory");
    wait_for_all();
    end();
}

/* --- how fast --- */

static double rate_end;
static size_t tried;

static void try_new(void *arg)
{
    for (unsigned turn = 0; fiber_now() < rate_end; turn++) {
        struct attempt attempt = attempt_at(NOW, NULL, RCPT);
        attempt.triplet.client = postern_printf(attempt.request.arena, "192.0.%u.%u",
                                                (unsigned)(uintptr_t)arg, turn % 256);
        attempt.triplet.sender = postern_printf(attempt.request.arena, "s%u@a.example", turn);
        enum triplet_status status = try(&attempt);
        CHECK(status == TRIPLET_FIRST_SEEN || status == TRIPLET_TOO_EARLY, "%s",
              status_name(status));
        tried++;
        attempt_free(&attempt);
    }
    running--;
}

static void rate_of_new_triplets(void)
{
    double length = 5;
    begin();
    puts("ready");
    fflush(stdout);
    rate_end = fiber_now() + length;
    for (running = 0; running < 32; running++)
        CHECK(fiber_spawn(try_new, (void *)(uintptr_t)running), "no memory");
    while (running > 0)
        fiber_sleep(0.01, NEVER);
    printf("%.0f new triplets a second by 32 fibers on %d connections\n", (double)tried / length,
           (int)check_config.pool_size);
    end();
}

const struct scenario triplet_scenarios[] = {
    {"rate_of_new_triplets", rate_of_new_triplets},
    {"new_triplet_is_first_seen", new_triplet_is_first_seen},
    {"retry_before_block_expires_is_too_early", retry_before_block_expires_is_too_early},
    {"retry_after_block_expires_passes", retry_after_block_expires_passes},
    {"expired_triplet_starts_over", expired_triplet_starts_over},
    {"passed_triplet_that_expired_starts_over", passed_triplet_that_expired_starts_over},
    {"other_clients_and_recipients_are_other_triplets",
     other_clients_and_recipients_are_other_triplets},
    {"client_that_passed_writes_nothing", client_that_passed_writes_nothing},
    {"client_needs_as_many_triplets_as_configured", client_needs_as_many_triplets_as_configured},
    {"other_triplets_of_a_passed_client_are_forgotten",
     other_triplets_of_a_passed_client_are_forgotten},
    {"passed_client_lives_on_when_a_tenth_is_gained",
     passed_client_lives_on_when_a_tenth_is_gained},
    {"one_of_many_at_once_is_first_seen", one_of_many_at_once_is_first_seen},
    {"locks_that_meet_fail_nobody", locks_that_meet_fail_nobody},
    {NULL, NULL},
};
