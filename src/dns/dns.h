/*
 * The resolver of this process: c-ares on the loop, a cache, and one query for equal questions.
 * Plugins reach it through <postern/dns.h>.
 *
 * Servers are those of `dns { servers }`, or of /etc/resolv.conf, which is followed when it
 * changes.
 */
#ifndef POSTERN_DNS_DNS_H
#define POSTERN_DNS_DNS_H

#include "runtime/config.h"
#include <postern/dns.h>

/* In the master, before fork. */
void dns_register_metrics(void);

/* One per process, made when first asked; the config must outlive it. */
void dns_open(const struct config *config);
void dns_close(void);

/* As postern_dns; what lives, lives in arena. Waits in the calling fiber. */
enum postern_dns_status dns_query(enum postern_dns_type type, const char *name,
                                  struct postern_arena *arena, double deadline,
                                  struct postern_dns_answer *answer);

#endif
