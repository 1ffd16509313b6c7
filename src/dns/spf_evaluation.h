/*
 * One evaluation under way, and the steps it is made of: spf_check.c goes through the records,
 * spf_fetch.c fetches one, spf_expand.c expands macros, spf_library.c has libspf2 match what needs
 * the DNS, and spf_ask.c, which all of them ask through, is where the limits are kept.
 */
#ifndef POSTERN_DNS_SPF_EVALUATION_H
#define POSTERN_DNS_SPF_EVALUATION_H

#include "dns/spf.h"
#include "dns/spf_record.h"

/* RFC 7208, 4.6.4 */
#define SPF_TERMS 10 /* that need the DNS, over the whole evaluation */
#define SPF_VOIDS 2  /* of those, whose lookup found nothing */
#define SPF_NAMES 10 /* of an MX or a PTR answer */

/* Bytes of all records together, which the evaluation keeps: one of any size, and what it leads to.
 */
#define SPF_TEXTS ((size_t)100 * 1024)

#define SPF_DOMAIN_NAME 253 /* bytes, without the last dot */

/* The names of the client's address, and whether they have it, too: asked for once. */
struct spf_reverse {
    bool is_asked;
    size_t count;
    struct {
        const char *name;
        bool is_asked, is_validated;
    } names[SPF_NAMES];
};

struct spf_library;

struct spf_evaluation {
    const struct spf_question *question;
    struct postern_arena *arena; /* of what is forgotten afterwards */
    const char *local, *sender, *sender_domain;
    const char *dotted_client; /* NULL: not needed yet */

    unsigned terms, voids;
    size_t texts;                  /* bytes of the records so far */
    bool term_is_void;             /* the running term's lookup found nothing, and has counted */
    enum postern_spf_result fault; /* NONE, or what ends the evaluation: an error */
    const char *problem;           /* why, in question->arena */
    struct spf_reverse reverse;
    struct spf_library *library;
};

/* --- spf_ask.c --- */

/* Whatever is not printable ASCII, in what clients will read, becomes "?". */
void spf_make_printable(char *text);

/* The first fault counts. Returns false. */
bool spf_fault(struct spf_evaluation *evaluation, enum postern_spf_result result,
               const char *format, ...) POSTERN_PRINTF(3, 4);

/* What an answer without records, or none at all, means. */
enum spf_purpose {
    SPF_FOR_TERM,   /* a void lookup; a failure is a fault */
    SPF_FOR_HOST,   /* the same, for one host of an MX: many of a term count once */
    SPF_FOR_RECORD, /* a failure is a fault */
    SPF_FOR_EXTRA   /* neither: PTR, and the text of an explanation */
};

/* FOUND, or else an answer without records. After a fault nothing is asked. */
enum postern_dns_status spf_ask(struct spf_evaluation *evaluation, enum spf_purpose purpose,
                                enum postern_dns_type type, const char *name,
                                struct postern_arena *arena, struct postern_dns_answer *answer);

/* False, with the fault set, when it is one too many. */
bool spf_count_term(struct spf_evaluation *evaluation);

/* The running term has found nothing. It counts once, with the fault set when it is one too many.
 */
void spf_count_void(struct spf_evaluation *evaluation);

/* Labels of 1 to 63 bytes, 253 in all, a dot after them or not; nothing that is not printable. */
bool spf_name_is_proper(const char *name);

/* The client's names, at most SPF_NAMES of them. */
const struct spf_reverse *spf_reverse_names(struct spf_evaluation *evaluation);

/* Whether a name is one of them and has the client's address (RFC 7208, 5.5). */
bool spf_reverse_is_validated(struct spf_evaluation *evaluation, const char *name);

enum postern_dns_type spf_address_type(const struct spf_evaluation *evaluation);

/* --- spf_fetch.c --- */

/* The record of a domain, in the evaluation's arena. False when it has none, or is no domain; and
 * with a fault, when it has two or one that is wrong, too. */
bool spf_fetch(struct spf_evaluation *evaluation, const char *domain, struct spf_record *record);

/* --- spf_check.c --- */

/* Where an evaluation has ended. What it points to is in the evaluation's arena. */
struct spf_outcome {
    const char *domain; /* whose record it was: after redirects */
    struct spf_record record;
    struct spf_text mechanism; /* that matched; empty: none */
};

/* check_host() but for its explanation. An error is in the evaluation's fault as well. */
enum postern_spf_result spf_check_host(struct spf_evaluation *evaluation, const char *domain,
                                       struct spf_outcome *outcome);

/* The domain owner's, for an outcome that is a fail; "" when there is none. In question->arena. */
const char *spf_explain(struct spf_evaluation *evaluation, const struct spf_outcome *outcome);

/* --- spf_expand.c --- */

/* A domain-spec, under the domain whose record it stands in, as the name to ask for: without its
 * last dot, and cut from the left to what a name can have. */
const char *spf_expand_domain(struct spf_evaluation *evaluation, struct spf_text spec,
                              const char *domain);

/* In question->arena and printable; "" when it is not an explain-string. */
const char *spf_expand_explanation(struct spf_evaluation *evaluation, struct spf_text text,
                                   const char *domain);

/* --- spf_library.c --- */

/* Whether a term of kind A, MX, PTR or EXISTS matches; `target` is its domain. */
bool spf_library_match(struct spf_evaluation *evaluation, const struct spf_term *term,
                       const char *target);

void spf_library_close(struct spf_evaluation *evaluation);

#endif
