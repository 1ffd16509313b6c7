/* What posternctl says about itself, from the tables of command.h. */
#ifndef POSTERN_CTL_USAGE_H
#define POSTERN_CTL_USAGE_H

#include "ctl/command.h"
#include "util/buffer.h"

/* "posternctl greylist enable [--from SENDER] [--to ACCOUNT]", without a newline. */
void usage_command(struct buffer *out, const struct noun *noun, const struct command *command);

/* The help for what the words name, as far as they do: everything, a noun, a command. */
void usage_help(struct buffer *out, const struct postern_names *words);

/* Says on stderr which of the words is wrong, and what there is instead. Returns CTL_USAGE. */
enum ctl_status usage_unknown(const struct postern_names *words);

/* For shells: a line for each command, its words and then its options. */
void usage_completion(struct buffer *out);

#endif
