#ifndef POSTERN_CTL_HELP_H
#define POSTERN_CTL_HELP_H

#include "ctl/ctl.h"

/* `posternctl help WORD ...` and `posternctl WORD ... --help`: the words are the operands. */
enum ctl_status help_print(struct ctl *ctl);

#endif
