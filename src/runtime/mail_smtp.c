/*
 * A login goes out only under TLS with a certificate that is right for the host. Without one
 * there is nothing to steal: then STARTTLS is taken where it is offered, whatever the certificate,
 * as mail servers do among themselves.
 */
#include "runtime/mail.h"

#include "build_config.h"

#if HAVE_CURL

#include "runtime/log.h"
#include "runtime/transfer.h"
#include "util/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT 20L /* seconds */

static const char expected[] =
    "expected a URL like \"smtp://127.0.0.1:25\", \"smtp://user@host.example:587\" or "
    "\"smtps://user@host.example:465\", in which an @ of the user is written %40";

struct dialogue {
    CURL *easy;
    CURLU *url;
    struct curl_slist *recipients;
    struct buffer text;
    size_t sent;
    char refusal[200]; /* the server's last reply of 400 or more */
    char problem[CURL_ERROR_SIZE];
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

static void set_address(struct dialogue *dialogue, const char *password)
{
    bool login = move_part(dialogue, CURLUPART_USER, CURLOPT_USERNAME);
    bool given = move_part(dialogue, CURLUPART_PASSWORD, CURLOPT_PASSWORD);
    if (login && !given && password != NULL)
        curl_easy_setopt(dialogue->easy, CURLOPT_PASSWORD, password);
    set_security(dialogue, login);
    curl_easy_setopt(dialogue->easy, CURLOPT_CURLU, dialogue->url);
    curl_easy_setopt(dialogue->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(dialogue->easy, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT);
}

static void set_mail(struct dialogue *dialogue, const struct mail *mail)
{
    append_lines(&dialogue->text, mail->text);
    for (size_t i = 0; i < mail->recipients.count; i++)
        dialogue->recipients = curl_slist_append(dialogue->recipients, mail->recipients.items[i]);
    curl_easy_setopt(dialogue->easy, CURLOPT_MAIL_RCPT, dialogue->recipients);
    curl_easy_setopt(dialogue->easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L);
    curl_easy_setopt(dialogue->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(dialogue->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)dialogue->text.length);
    curl_easy_setopt(dialogue->easy, CURLOPT_READFUNCTION, read_text);
    curl_easy_setopt(dialogue->easy, CURLOPT_READDATA, dialogue);
    curl_easy_setopt(dialogue->easy, CURLOPT_HEADERFUNCTION, read_reply);
    curl_easy_setopt(dialogue->easy, CURLOPT_HEADERDATA, dialogue);
    curl_easy_setopt(dialogue->easy, CURLOPT_ERRORBUFFER, dialogue->problem);
}

static bool dialogue_judge(const struct dialogue *dialogue, const struct mail *mail, CURLcode code,
                           struct postern_error *error)
{
    char *host = NULL;
    curl_url_get(dialogue->url, CURLUPART_HOST, &host, 0);
    const char *name = host != NULL ? host : "server", *refusal = dialogue->refusal;
    if (code == CURLE_OK && mail->recipients.count > 1 && refusal[0] != '\0')
        log_warning("%s took a mail, but not for all recipients: %s", name, refusal);
    if (code != CURLE_OK)
        postern_error_set(error, "%s: %s%s%s%s", name,
                          dialogue->problem[0] != '\0' ? dialogue->problem
                                                       : curl_easy_strerror(code),
                          refusal[0] != '\0' ? " (" : "", refusal, refusal[0] != '\0' ? ")" : "");
    curl_free(host);
    return code == CURLE_OK;
}

bool mail_send_by_smtp(const struct mail_route *route, const struct mail *mail, double deadline,
                       struct postern_error *error)
{
    struct dialogue dialogue = {.easy = curl_easy_init(), .url = curl_url()};
    bool good = false;
    if (dialogue.easy == NULL || dialogue.url == NULL ||
        !is_for_mail(dialogue.url, route->smtp_url)) {
        postern_error_set(error, "smtp_url: %s", expected);
    } else {
        set_address(&dialogue, route->smtp_password);
        set_mail(&dialogue, mail);
        good = dialogue_judge(&dialogue, mail, transfer_run(dialogue.easy, deadline), error);
    }
    curl_easy_cleanup(dialogue.easy);
    curl_url_cleanup(dialogue.url);
    curl_slist_free_all(dialogue.recipients);
    buffer_free(&dialogue.text);
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
