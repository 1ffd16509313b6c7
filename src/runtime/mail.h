/*
 * Handing a mail to the mail system: to a program that takes it as sendmail(8) does, or by SMTP
 * (RFC 5321, RFC 4954, RFC 3207) with libcurl. The envelope sender is the null one: nobody waits
 * for a bounce.
 */
#ifndef POSTERN_RUNTIME_MAIL_H
#define POSTERN_RUNTIME_MAIL_H

#include <postern/plugin.h>

struct mail_route {
    const char *sendmail;      /* the program's path; used when there is no URL */
    const char *smtp_url;      /* smtp://[USER[:PASSWORD]@]HOST[:PORT] or smtps://..., or "" */
    const char *smtp_password; /* when the URL has a user and no password; "" or NULL is none */
};

struct mail {
    struct postern_names recipients; /* at least one; none begins with '-' */
    const char *text;                /* the message, its lines ending with '\n' */
};

/*
 * In a fiber, which waits until the deadline at most. True when the mail system has taken the mail;
 * a false one may have been taken where the answer did not come in time. By SMTP it is enough that
 * one recipient is taken; those that are not are logged.
 */
bool mail_send(const struct mail_route *route, const struct mail *mail, double deadline,
               struct postern_error *error);

/* What a URL for SMTP says of the login. */
struct mail_login {
    bool user, password;
};

/* False, with error saying what was expected but not what was given: that may hold a password. */
bool mail_check_url(const char *url, struct mail_login *login, struct postern_error *error);

/* The two ways: mail_program.c, mail_smtp.c. */
bool mail_send_by_program(const struct mail_route *route, const struct mail *mail, double deadline,
                          struct postern_error *error);
bool mail_send_by_smtp(const struct mail_route *route, const struct mail *mail, double deadline,
                       struct postern_error *error);

#endif
