#include "ctl/nouns.h"
#include "ctl/output.h"

static enum ctl_status check(struct ctl *ctl)
{
    enum ctl_status status = ctl_load_config(ctl);
    if (status != CTL_DONE)
        return status;
    return output_unchanged(ctl, "%s is good: %zu plugins, %zu databases", ctl->config_path,
                            ctl->config->plugins_length, ctl->config->databases_length);
}

static const struct command commands[] = {
    {"check", NULL, "whether the daemon can use the configuration", NULL, NEEDS_NOTHING, check},
    {NULL},
};

const struct noun noun_config = {"config", "postern.conf", commands};
