/* Entries of lists and settings as an admin types them (behaviour.md, "Addresses in lists"). */
#ifndef POSTERN_CTL_ENTRY_H
#define POSTERN_CTL_ENTRY_H

#include "ctl/ctl.h"

/* Sets of forms: 1 << enum postern_account_form. */
#define ENTRY_ACCOUNTS                                                                             \
    (1u << POSTERN_ACCOUNT_ADDRESS | 1u << POSTERN_ACCOUNT_DOMAIN |                                \
     1u << POSTERN_ACCOUNT_SUBDOMAINS | 1u << POSTERN_ACCOUNT_TOP_LEVEL |                          \
     1u << POSTERN_ACCOUNT_EVERYBODY)
#define ENTRY_CLIENT                                                                               \
    (1u << POSTERN_ACCOUNT_IP | 1u << POSTERN_ACCOUNT_IP_WILDCARD | 1u << POSTERN_ACCOUNT_NETWORK)

struct entry {
    const char *text; /* as it is stored: lower case, IPs and networks in canonical form */
    enum postern_account_form form; /* INVALID: none of those allowed; text is in lower case */
};

struct entry entry_read(struct postern_arena *arena, const char *text, unsigned forms);

/* The forms, by example. */
const char *entry_forms(struct postern_arena *arena, unsigned forms);

/* Says what is allowed for that option. Returns CTL_USAGE. */
enum ctl_status entry_refuse(const char *option, const char *text, unsigned forms);

/* The canonical text of an IP address, or NULL. */
const char *entry_ip(struct postern_arena *arena, const char *text);

#endif
