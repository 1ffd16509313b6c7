/*
 * SPF on the resolver of dns/dns.h: libspf2 parses and evaluates, this layer fetches the records
 * and counts.
 */
#ifndef POSTERN_DNS_SPF_H
#define POSTERN_DNS_SPF_H

#include <postern/arena.h>
#include <postern/dns.h>
#include <postern/spf.h>

/* How an evaluation asks the DNS: dns_query, or a test's own zone. */
typedef enum postern_dns_status (*spf_lookup)(enum postern_dns_type type, const char *name,
                                              struct postern_arena *arena, double deadline,
                                              struct postern_dns_answer *answer);

struct spf_question {
    struct postern_ip client; /* none: the result is "none" */
    const char *sender;       /* "" or without a domain: HELO is checked */
    const char *helo;
    const char *host; /* the receiving host's name, for the macro %{r} */
    spf_lookup lookup;
    double deadline;
    struct postern_arena *arena; /* of the answer */
};

/* In the master, before fork. */
void spf_register_metrics(void);

/* check_host() of RFC 7208, 4. Waits in the calling fiber. */
void spf_evaluate(const struct spf_question *question, struct postern_spf *spf);

#endif
