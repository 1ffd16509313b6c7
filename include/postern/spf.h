/*
 * SPF of a request: whether its client may send for the domain of its sender, or, for the null
 * sender, for its HELO name.
 *
 * Source: RFC 7208; behaviour.md, "spf".
 */
#ifndef POSTERN_SPF_H
#define POSTERN_SPF_H

#include <postern/request.h>

struct postern_error;

/* RFC 7208, 2.6. */
enum postern_spf_result {
    POSTERN_SPF_NONE,
    POSTERN_SPF_NEUTRAL,
    POSTERN_SPF_PASS,
    POSTERN_SPF_FAIL,
    POSTERN_SPF_SOFTFAIL,
    POSTERN_SPF_TEMPERROR,
    POSTERN_SPF_PERMERROR,
    POSTERN_SPF_RESULTS
};

/* "none", "neutral", "pass", ...: the words of headers, of the log and of the metrics. */
const char *postern_spf_word(enum postern_spf_result result);

struct postern_spf {
    enum postern_spf_result result;
    bool is_helo;          /* what was checked: the HELO name, or else MAIL FROM */
    const char *sender;    /* local@domain as evaluated ("postmaster@" is put before a HELO name) */
    const char *domain;    /* whose record was asked for */
    const char *mechanism; /* that matched, as written ("ip4:192.0.2.0/24", "-all"), or "" */
    const char *problem;   /* temperror and permerror: why, printable ASCII; else "" */
    const char *explanation; /* fail: the domain owner's (exp=), printable ASCII; else "" */
};

/*
 * Evaluates, within the limits of behaviour.md, `spf_timeout` and the request's deadline; all
 * plugins of a request share one evaluation. Never NULL. A temperror is the caller's to judge: the
 * request is not told.
 */
const struct postern_spf *postern_spf_check(struct postern_request *req);

/* False, with why, in a build that can't: for the validate of a plugin that would ask. */
bool postern_spf_is_built(struct postern_error *error);

#endif
