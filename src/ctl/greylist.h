/* What the commands of the noun `greylist` share; ctl_greylist.c has their table. */
#ifndef POSTERN_CTL_GREYLIST_H
#define POSTERN_CTL_GREYLIST_H

#include "ctl/entry.h"

#define GREYLIST_SENDERS  (ENTRY_ACCOUNTS | ENTRY_CLIENT | 1u << POSTERN_ACCOUNT_USER_ANYWHERE)
#define GREYLIST_ACCOUNTS ENTRY_ACCOUNTS

/* Of mail from a sender (--from) to an account (--to). */
struct route {
    struct entry sender, account;
};

/*
 * Reads --from and --to; fallback ("@." or "") stands for one that is not given. CTL_USAGE,
 * with the allowed forms on stderr, when one is invalid.
 */
enum ctl_status route_read(struct ctl *ctl, const char *fallback, struct route *route);

/* The same for rows that are to be removed: whatever is stored can be named. */
struct route route_named(struct ctl *ctl);
enum ctl_status route_refuse(const struct route *route); /* CTL_DONE when it is valid */

/* A list filtered by --from and --to. */
bool route_is_given(const struct ctl *ctl);

enum ctl_status whitelist_list(struct ctl *ctl);
enum ctl_status whitelist_add(struct ctl *ctl);
enum ctl_status whitelist_delete(struct ctl *ctl);

enum ctl_status domain_list(struct ctl *ctl);
enum ctl_status domain_add(struct ctl *ctl);
enum ctl_status domain_delete(struct ctl *ctl);
enum ctl_status domain_refresh(struct ctl *ctl);

enum ctl_status tracking_list(struct ctl *ctl);
enum ctl_status tracking_forget(struct ctl *ctl);

#endif
