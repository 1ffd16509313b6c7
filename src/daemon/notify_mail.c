#include "daemon/notify_mail.h"

#include "runtime/log_escape.h"
#include "runtime/mail_message.h"
#include "util/quantity.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define LABEL      "%-15s"
#define FIELD_ROOM 700 /* bytes of a value: a line may have 998 */

static void append_field(struct buffer *out, const char *label, const char *value)
{
    buffer_printf(out, LABEL, label);
    log_escape_message(out, value, strlen(value), out->length + FIELD_ROOM);
    buffer_char(out, '\n');
}

static void append_time(struct buffer *out, const char *label, int64_t time)
{
    struct tm tm = {0};
    char text[64];
    gmtime_r(&(time_t){time}, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
    append_field(out, label, text);
}

static void append_count(struct buffer *out, const char *label, int64_t counted, int64_t limit)
{
    buffer_printf(out, LABEL "%" PRId64, label, counted);
    if (limit > 0)
        buffer_printf(out, " of %" PRId64, limit);
    else
        buffer_text(out, ", not limited");
    buffer_char(out, '\n');
}

static const char *period_text(const struct notice *notice, char text[32])
{
    return quantity_duration_text(notice->period, text, 32);
}

static void append_notice(struct buffer *out, const struct notice *notice)
{
    char period[32];
    append_field(out, "Account:", notice->account);
    append_field(out, "Limited by:", notice->setting);
    append_field(out, "Kind:", notice->kind);
    append_field(out, "Period:", period_text(notice, period));
    append_count(out, "Messages:", notice->messages, notice->max_messages);
    append_count(out, "Bytes:", notice->bytes, notice->max_bytes);
    append_time(out, "Counted since:", notice->begin);
    append_time(out, "Last counted:", notice->last);
    append_time(out, "Refused:", -notice->mark);
    if (-notice->mark < notice->begin)
        append_field(out, "Note:", "the counts are those of the next period");
    buffer_char(out, '\n');
}

static void append_subject(struct buffer *out, const struct notice *notices, size_t count)
{
    struct buffer subject = {0};
    char period[32];
    if (count == 1)
        buffer_printf(&subject, "Throttled: %s (%s, %s)", notices->account, notices->kind,
                      period_text(notices, period));
    else
        buffer_printf(&subject, "Throttled: %zu accounts", count);
    mail_header_text(out, "Subject", subject.data);
    buffer_free(&subject);
}

static void append_body(struct buffer *out, const struct notice *notices, size_t count,
                        const char *host)
{
    struct buffer text = {0};
    buffer_printf(&text,
                  "Postern on %s refuses mail because of a throttle. This is sent once for each\n"
                  "period in which that happens; `posternctl throttle usage` shows the counters.\n"
                  "\n",
                  host);
    for (size_t i = 0; i < count; i++)
        append_notice(&text, &notices[i]);
    mail_body(out, text.data);
    buffer_free(&text);
}

void notify_mail_write(struct buffer *out, const struct notice *notices, size_t count,
                       struct postern_names recipients, const char *sender, const char *host,
                       int64_t now)
{
    mail_header_origin(out, now, host);
    buffer_printf(out, "From: Postern <%s@%s>\n", sender, host);
    mail_header_addresses(out, "To", recipients, host);
    append_subject(out, notices, count);
    append_body(out, notices, count, host);
}
