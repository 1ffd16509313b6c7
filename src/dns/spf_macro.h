/*
 * The macro language of SPF, read piece by piece.
 *
 * Source: RFC 7208, 7.1 and 12.
 */
#ifndef POSTERN_DNS_SPF_MACRO_H
#define POSTERN_DNS_SPF_MACRO_H

#include "dns/spf_text.h"

/* Where a macro string stands: c, r and t exist in the text of an explanation alone, as spaces do.
 */
enum spf_macro_place { SPF_IN_RECORD, SPF_IN_EXPLANATION };

struct spf_macro {
    struct spf_text literal; /* what it stands for, when letter is 0 */
    bool is_expansion;       /* begins with % */
    char letter;             /* of %{...}, in lower case */
    bool is_escaped;         /* the letter is in upper case */
    bool is_reversed;
    unsigned parts;             /* to keep, from the right; 0: all */
    struct spf_text delimiters; /* empty: "." */
};

/* Takes the first piece off *rest, which is not empty. False where the grammar ends. */
bool spf_macro_next(struct spf_text *rest, enum spf_macro_place place, struct spf_macro *macro);

/* Whether text is a macro-string; an empty one is. */
bool spf_macro_is_valid(struct spf_text text, enum spf_macro_place place);

#endif
