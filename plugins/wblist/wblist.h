/* The parts of the wblist plugin. */
#ifndef PLUGINS_WBLIST_H
#define PLUGINS_WBLIST_H

#include <postern/plugin.h>

struct lists; /* both, per process */

struct lists *lists_new(void);
void lists_free(struct lists *lists);

enum list_word { LIST_SAYS_NOTHING, LIST_SAYS_WHITE, LIST_SAYS_BLACK, LIST_FAILED };

/* Which list, and for what. accounts are the local side's names, subjects the other side's. */
struct list_question {
    bool outbound;
    struct postern_names accounts, subjects;
    struct postern_ip client; /* or none */
};

/* What the strongest row says; the request gets it as the reason. */
enum list_word lists_ask(struct postern_request *req, struct lists *lists,
                         const struct list_question *question);

#endif
