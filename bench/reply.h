/* What a policy server's reply says. */
#ifndef POSTERN_BENCH_REPLY_H
#define POSTERN_BENCH_REPLY_H

#include "load.h"

#define REPLY_MAX 4096

enum reply_state { REPLY_PARTIAL, REPLY_COMPLETE, REPLY_WRONG };

/* Sets action when the bytes are one complete reply: "action=ACTION [text]\n\n". */
enum reply_state reply_read(const char *data, size_t length, enum load_action *action);

#endif
