#include "daemon/notify.h"

#include "daemon/notify_mail.h"
#include "runtime/clock.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "runtime/mail.h"
#include "util/arena.h"
#include "util/quantity.h"

#include <limits.h>
#include <unistd.h>

#define BATCH          50   /* counters in one mail */
#define LEASE          300  /* seconds; more than the three times below together */
#define QUERY_TIMEOUT  10.0 /* for the look and the taking */
#define SEND_TIMEOUT   60.0
#define SETTLE_TIMEOUT 30.0
#define FIRST_DELAY    60 /* seconds before a mail that could not be sent is tried again */
#define LAST_DELAY     3600

/* What one round is about. */
struct round {
    struct notify *notify;
    struct postern_arena *arena;
    double deadline; /* of the queries */
    struct notice *notices;
    size_t count;
    int64_t now, lease; /* lease: what is in last_notify_time of those that are taken */
};

static const struct postern_statement wanted = {
    .sql = "SELECT c.id, c.last_notify_time, c.account, t.account, t.kind, c.period, c.cur_msgs,"
           " c.cur_quota, t.max_msgs, t.max_quota, c.init_time, c.last_time"
           " FROM throttle_tracking AS c JOIN throttle AS t ON t.id = c.tid"
           " WHERE c.last_notify_time < 0 AND c.last_notify_time >= ?"
           " ORDER BY c.last_notify_time DESC LIMIT ?"};

static const struct postern_statement mark = {
    .sql = "UPDATE throttle_tracking SET last_notify_time = ?"
           " WHERE id = ? AND last_notify_time = ?"};

static struct notice notice_of(const struct postern_rows *rows, size_t row)
{
    return (struct notice){
        .id = postern_row_integer(rows, row, 0),
        .mark = postern_row_integer(rows, row, 1),
        .account = postern_row_text(rows, row, 2),
        .setting = postern_row_text(rows, row, 3),
        .kind = postern_row_text(rows, row, 4),
        .period = postern_row_integer(rows, row, 5),
        .messages = postern_row_integer(rows, row, 6),
        .bytes = postern_row_integer(rows, row, 7),
        .max_messages = postern_row_integer(rows, row, 8),
        .max_bytes = postern_row_integer(rows, row, 9),
        .begin = postern_row_integer(rows, row, 10),
        .last = postern_row_integer(rows, row, 11),
    };
}

static enum postern_lookup ask(const struct round *round, const struct postern_statement *statement,
                               const struct postern_value *values, size_t count,
                               struct postern_rows *rows, struct postern_error *error)
{
    struct db_query query = {.statement = statement,
                             .values = values,
                             .count = count,
                             .arena = round->arena,
                             .deadline = round->deadline};
    return db_query(round->notify->db, &query, rows, error);
}

/* An outage is logged once. */
static bool find_wanted(struct round *round)
{
    struct postern_rows rows = {0};
    struct postern_error error;
    enum postern_lookup lookup =
        ask(round, &wanted, POSTERN_VALUES(postern_integer(-round->now), postern_integer(BATCH)),
            &rows, &error);
    if (lookup == POSTERN_FAILED && !round->notify->blind)
        log_warning("cannot look for notifications that are to be sent: %s", error.text);
    round->notify->blind = lookup == POSTERN_FAILED;
    if (lookup != POSTERN_FOUND)
        return false;
    round->notices = postern_alloc(round->arena, rows.count * sizeof *round->notices);
    round->count = rows.count;
    for (size_t i = 0; i < rows.count; i++)
        round->notices[i] = notice_of(&rows, i);
    return true;
}

/* False when the counter does not have the value `from` any more. */
static bool change_mark(const struct round *round, const struct notice *notice, int64_t from,
                        int64_t to)
{
    struct postern_rows rows = {0};
    struct postern_error error;
    enum postern_lookup lookup =
        ask(round, &mark,
            POSTERN_VALUES(postern_integer(to), postern_integer(notice->id), postern_integer(from)),
            &rows, &error);
    if (lookup == POSTERN_FAILED)
        log_warning("cannot write what became of a notification, which may be sent again: %s",
                    error.text);
    return lookup == POSTERN_FOUND;
}

/* Keeps the notices that no other host has taken. */
static bool take_wanted(struct round *round)
{
    size_t taken = 0;
    for (size_t i = 0; i < round->count; i++)
        if (change_mark(round, &round->notices[i], round->notices[i].mark, round->lease))
            round->notices[taken++] = round->notices[i];
    round->count = taken;
    return taken > 0;
}

static bool send_mail(const struct round *round, struct postern_error *error)
{
    const struct config *config = round->notify->config;
    struct mail_route route = {config->notify.sendmail, config->notify.smtp_url,
                               config->notify.smtp_password};
    char host[HOST_NAME_MAX + 1] = "localhost";
    struct buffer text = {0};
    gethostname(host, sizeof host - 1);
    notify_mail_write(&text, round->notices, round->count, config->notify.recipients, config->user,
                      host, round->now);
    struct mail mail = {config->notify.recipients, text.data};
    bool sent = mail_send(&route, &mail, fiber_now() + SEND_TIMEOUT, error);
    buffer_free(&text);
    return sent;
}

static void wait_longer(struct notify *notify)
{
    notify->failed_at = clock_wall();
    notify->delay = notify->delay == 0 ? FIRST_DELAY : notify->delay * 2;
    if (notify->delay > LAST_DELAY)
        notify->delay = LAST_DELAY;
}

static void report(struct round *round, bool sent, const struct postern_error *error)
{
    struct notify *notify = round->notify;
    char delay[32];
    if (sent) {
        notify->delay = 0;
        log_info("sent a notification of %zu throttle counters", round->count);
        return;
    }
    wait_longer(notify);
    log_error("cannot send a notification of %zu throttle counters: %s; trying again in %s",
              round->count, error->text,
              quantity_duration_text(notify->delay, delay, sizeof delay));
}

/* A time before the refusal would have it told of again. */
static int64_t mark_of_told(const struct notice *notice, int64_t now)
{
    return now > -notice->mark ? now : -notice->mark;
}

static void settle(struct round *round, bool sent)
{
    int64_t now = clock_wall();
    round->deadline = fiber_now() + SETTLE_TIMEOUT;
    for (size_t i = 0; i < round->count; i++) {
        const struct notice *notice = &round->notices[i];
        change_mark(round, notice, round->lease, sent ? mark_of_told(notice, now) : notice->mark);
    }
}

static void run_round(struct round *round)
{
    struct postern_error error;
    if (!find_wanted(round))
        return;
    round->notify->busy = true;
    if (take_wanted(round)) {
        bool sent = send_mail(round, &error);
        report(round, sent, &error);
        settle(round, sent);
    }
    round->notify->busy = false;
}

/* A clock that was set back ends the wait. */
static bool is_waiting(const struct notify *notify, int64_t now)
{
    return notify->delay > 0 && now >= notify->failed_at && now < notify->failed_at + notify->delay;
}

void notify_round(struct notify *notify)
{
    int64_t now = clock_wall();
    if (is_waiting(notify, now))
        return;
    struct round round = {.notify = notify,
                          .arena = arena_new(),
                          .deadline = fiber_now() + QUERY_TIMEOUT,
                          .now = now,
                          .lease = -(now + LEASE)};
    run_round(&round);
    arena_free(round.arena);
}
