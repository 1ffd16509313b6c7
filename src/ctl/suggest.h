/* Guessing what was meant by a word that is none of ours. */
#ifndef POSTERN_CTL_SUGGEST_H
#define POSTERN_CTL_SUGGEST_H

#include <postern/address.h>

/* The one of names that is nearest to word, or NULL when none is near. */
const char *suggest(const char *word, const struct postern_names *names);

#endif
