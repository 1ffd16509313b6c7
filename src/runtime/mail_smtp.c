/*
 * libcurl's multi interface would not do: after a mail it blocks until the server has answered.
 * So the dialogue runs in a thread, on copies of all that it needs.
 *
 * A login goes out only under TLS with a certificate that is right for the host. Without one
 * there is nothing to steal: then STARTTLS is taken where it is offered, whatever the certificate,
 * as mail servers do among themselves.
 */
#include "runtime/mail.h"

#include "build_config.h"

#if HAVE_CURL

#include "runtime/errand.h"
#include "runtime/fiber.h"
#include "runtime/log.h"
#include "util/arena.h"
#include "util/buffer.h"
#include "util/memory.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT 20L  /* seconds */
#define TIMEOUT_SHARE   0.95 /* libcurl gives up before the fiber does: it knows why */

static const char expected[] =
    "expected a URL like \"smtp://127.0.0.1:25\", \"smtp://user@host.example:587\" or "
    "\"smtps://user@host.example:465\", in which an @ of the user is written %40";

/* Everything is its own, in its arena or with libcurl. */
struct dialogue {
    struct errand errand;
    struct postern_arena *arena;
    const char *address, *password;
    struct curl_slist *recipients;
    struct buffer text;
    long timeout; /* milliseconds */

    CURL *easy;
    CURLU *url;
    size_t sent;
    char refusal[200]; /* the server's last reply of 400 or more */
    bool good;
    struct postern_error error;
};

/* --- URLs --- */

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK && text[0] != '\0';
    curl_free(text);
    return has;
}

static bool is_part(CURLU *url, CURLUPart part, const char *wanted)
{
    char *text = NULL;
    bool is = curl_url_get(url, part, &text, 0) == CURLUE_OK && strcmp(text, wanted) == 0;
    curl_free(text);
    return is;
}

static bool is_for_mail(CURLU *url, const char *text)
{
    return curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
           (is_part(url, CURLUPART_SCHEME, "smtp") || is_part(url, CURLUPART_SCHEME, "smtps")) &&
           has_part(url, CURLUPART_HOST) && is_part(url, CURLUPART_PATH, "/") &&
           !has_part(url, CURLUPART_QUERY) && !has_part(url, CURLUPART_FRAGMENT);
}

bool mail_check_url(const char *text, struct mail_login *login, struct postern_error *error)
{
    CURLU *url = curl_url();
    bool good = url != NULL && is_for_mail(url, text);
    if (good) {
        login->user = has_part(url, CURLUPART_USER);
        login->password = has_part(url, CURLUPART_PASSWORD);
    }
    curl_url_cleanup(url);
    return good || postern_error_set(error, "%s", expected);
}

/* --- what libcurl asks for and tells --- */

static size_t read_text(char *room, size_t size, size_t count, void *context)
{
    struct dialogue *dialogue = context;
    size_t left = dialogue->text.length - dialogue->sent;
    size_t length = left < size * count ? left : size * count;
    memcpy(room, dialogue->text.data + dialogue->sent, length);
    dialogue->sent += length;
    return length;
}

static size_t read_reply(char *line, size_t size, size_t count, void *context)
{
    struct dialogue *dialogue = context;
    size_t length = size * count;
    while (length > 0 && strchr("\r\n", line[length - 1]) != NULL)
        length--;
    if (length >= 3 && (line[0] == '4' || line[0] == '5'))
        snprintf(dialogue->refusal, sizeof dialogue->refusal, "%.*s", (int)length, line);
    return size * count;
}

/* --- sending --- */

static void append_lines(struct buffer *out, const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        buffer_append(out, text, length);
        buffer_text(out, "\r\n");
        text += length + (text[length] == '\n');
    }
}

/* Takes a part out of the URL, decoded, and gives it to libcurl as an option. */
static bool move_part(struct dialogue *dialogue, CURLUPart part, CURLoption option)
{
    char *text = NULL;
    bool has = curl_url_get(dialogue->url, part, &text, CURLU_URLDECODE) == CURLUE_OK;
    if (has)
        curl_easy_setopt(dialogue->easy, option, text);
    curl_url_set(dialogue->url, part, NULL, 0);
    curl_free(text);
    return has;
}

static void set_security(const struct dialogue *dialogue, bool login)
{
    bool verified = login || is_part(dialogue->url, CURLUPART_SCHEME, "smtps");
    const char *authorities = getenv("SSL_CERT_FILE");
    curl_easy_setopt(dialogue->easy, CURLOPT_USE_SSL,
                     login ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_TRY);
    curl_easy_setopt(dialogue->easy, CURLOPT_SSL_VERIFYPEER, verified ? 1L : 0L);
    curl_easy_setopt(dialogue->easy, CURLOPT_SSL_VERIFYHOST, verified ? 2L : 0L);
    if (authorities != NULL && authorities[0] != '\0')
        curl_easy_setopt(dialogue->easy, CURLOPT_CAINFO, authorities);
}

static void set_address(struct dialogue *dialogue)
{
    bool login = move_part(dialogue, CURLUPART_USER, CURLOPT_USERNAME);
    bool given = move_part(dialogue, CURLUPART_PASSWORD, CURLOPT_PASSWORD);
    if (login && !given)
        curl_easy_setopt(dialogue->easy, CURLOPT_PASSWORD, dialogue->password);
    set_security(dialogue, login);
    curl_easy_setopt(dialogue->easy, CURLOPT_CURLU, dialogue->url);
    curl_easy_setopt(dialogue->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(dialogue->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(dialogue->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(dialogue->easy, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT);
    curl_easy_setopt(dialogue->easy, CURLOPT_TIMEOUT_MS, dialogue->timeout);
}

static void set_mail(struct dialogue *dialogue)
{
    curl_easy_setopt(dialogue->easy, CURLOPT_MAIL_RCPT, dialogue->recipients);
    curl_easy_setopt(dialogue->easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
    curl_easy_setopt(dialogue->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(dialogue->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)dialogue->text.length);
    curl_easy_setopt(dialogue->easy, CURLOPT_READFUNCTION, read_text);
    curl_easy_setopt(dialogue->easy, CURLOPT_READDATA, dialogue);
    curl_easy_setopt(dialogue->easy, CURLOPT_HEADERFUNCTION, read_reply);
    curl_easy_setopt(dialogue->easy, CURLOPT_HEADERDATA, dialogue);
}

static void judge(struct dialogue *dialogue, CURLcode code, const char *problem)
{
    const char *refusal = dialogue->refusal;
    char *host = NULL;
    dialogue->good = code == CURLE_OK;
    curl_url_get(dialogue->url, CURLUPART_HOST, &host, 0);
    postern_error_set(&dialogue->error, "%s: %s%s%s%s", host != NULL ? host : "the server",
                      problem[0] != '\0' ? problem : curl_easy_strerror(code),
                      refusal[0] != '\0' ? " (" : "", refusal, refusal[0] != '\0' ? ")" : "");
    curl_free(host);
}

static void perform(struct dialogue *dialogue)
{
    char problem[CURL_ERROR_SIZE] = "";
    set_address(dialogue);
    set_mail(dialogue);
    curl_easy_setopt(dialogue->easy, CURLOPT_ERRORBUFFER, problem);
    judge(dialogue, curl_easy_perform(dialogue->easy), problem);
}

/* In the thread. */
static void dialogue_run(struct errand *errand)
{
    struct dialogue *dialogue = (struct dialogue *)errand;
    dialogue->easy = curl_easy_init();
    dialogue->url = curl_url();
    if (dialogue->easy != NULL && dialogue->url != NULL &&
        is_for_mail(dialogue->url, dialogue->address))
        perform(dialogue);
    else
        postern_error_set(&dialogue->error, "smtp_url: %s", expected);
    curl_easy_cleanup(dialogue->easy);
    curl_url_cleanup(dialogue->url);
}

static void dialogue_free(struct errand *errand)
{
    struct dialogue *dialogue = (struct dialogue *)errand;
    curl_slist_free_all(dialogue->recipients);
    buffer_free(&dialogue->text);
    arena_free(dialogue->arena);
    free(dialogue);
}

static struct dialogue *dialogue_new(const struct mail_route *route, const struct mail *mail,
                                     double seconds)
{
    struct dialogue *dialogue = memory_new(sizeof *dialogue);
    dialogue->errand = (struct errand){.run = dialogue_run, .free = dialogue_free};
    dialogue->arena = arena_new();
    dialogue->address = postern_strdup(dialogue->arena, route->smtp_url);
    dialogue->password =
        postern_strdup(dialogue->arena, route->smtp_password != NULL ? route->smtp_password : "");
    dialogue->timeout = seconds > 0.001 ? (long)(seconds * 1000) : 1;
    append_lines(&dialogue->text, mail->text);
    for (size_t i = 0; i < mail->recipients.count; i++)
        dialogue->recipients = curl_slist_append(dialogue->recipients, mail->recipients.items[i]);
    return dialogue;
}

bool mail_send_by_smtp(const struct mail_route *route, const struct mail *mail, double deadline,
                       struct postern_error *error)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    double seconds = (deadline - fiber_now()) * TIMEOUT_SHARE;
    struct dialogue *dialogue = dialogue_new(route, mail, seconds);
    enum errand_result result = errand_run(&dialogue->errand, deadline);
    bool good = result == ERRAND_DONE && dialogue->good;
    if (result == ERRAND_DONE && !good)
        *error = dialogue->error;
    else if (result == ERRAND_LATE)
        postern_error_set(error, "no answer in time");
    else if (result == ERRAND_FAILED)
        postern_error_set(error, "cannot start a thread: %s", strerror(errno));
    if (good && mail->recipients.count > 1 && dialogue->refusal[0] != '\0')
        log_warning("a mail was taken, but not for all recipients: %s", dialogue->refusal);
    errand_leave(&dialogue->errand);
    return good;
}

#else

static const char lacking[] = "this build has no libcurl, which SMTP needs: build Postern with it, "
                              "or send with `sendmail`";

bool mail_check_url(const char *url, struct mail_login *login, struct postern_error *error)
{
    (void)url, (void)login;
    return postern_error_set(error, "%s", lacking);
}

bool mail_send_by_smtp(const struct mail_route *route, const struct mail *mail, double deadline,
                       struct postern_error *error)
{
    (void)route, (void)mail, (void)deadline;
    return postern_error_set(error, "%s", lacking);
}

#endif
