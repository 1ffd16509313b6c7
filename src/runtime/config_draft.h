/* A config in the making: what the files config*.c share. */
#ifndef POSTERN_RUNTIME_CONFIG_DRAFT_H
#define POSTERN_RUNTIME_CONFIG_DRAFT_H

#include "runtime/config.h"
#include "runtime/config_file.h"
#include "runtime/option.h"

#define CONFIG_DEFAULT_DATABASE "/var/lib/postern/postern.db"

struct config_draft {
    struct config config; /* first: it is what config_load returns and config_free gets */
    const struct config_modules *hooks;
    struct config_problems problems;
    struct config_file file;

    /* Written by the options of the same names, and turned into fields of config later. */
    struct postern_names mynetworks;
    int facility;
    const char *bind_password_file;
    const char *smtp_password_file;
    struct postern_names plugins;
};

/* A section `database`, as it is written. */
struct database_draft {
    struct database_config config;
    int driver; /* index into database_drivers */
    const char *password_file;
};

/* The options of one kind of section; those of untitled sections are fields of config_draft. */
struct config_table {
    const char *name; /* "" is the top level; NULL ends config_tables */
    const struct postern_option *options;
};

extern const struct config_table config_tables[];
extern const struct config_section_kind config_section_kinds[];
extern const struct postern_option config_database_options[]; /* of database_draft */
extern const struct postern_option config_plugin_options[];   /* of plugin_config; every plugin's */
extern const char *const config_database_drivers[];
int config_facility_code(int index); /* of <syslog.h> */

/* The first section of that name (and title, unless NULL); NULL when there is none. */
const struct config_section *config_section_find(const struct config_file *file, const char *name,
                                                 const char *title);

/* Sets one option from a setting; a problem, and false, when it doesn't fit. */
bool config_apply(struct config_draft *draft, const struct config_setting *setting,
                  const struct postern_option *option, void *options);

/* config_check.c: what takes more than one value to judge. */
void config_check_values(struct config_draft *draft); /* addresses and networks */
void config_check_whole(struct config_draft *draft);  /* what belongs together; reads secrets */

/* config_databases.c, config_plugins.c: fill config->databases, config->plugins. */
void config_take_databases(struct config_draft *draft);
void config_take_plugins(struct config_draft *draft);
void config_check_plugin_databases(struct config_draft *draft); /* once both are there */

/*
 * The secret of a section whose options `key` and `file_key` give it: *secret is what was given
 * in place, and is replaced by the contents of `path`, without line ends, unless that is "".
 */
void config_read_secret(struct config_draft *draft, const struct config_section *section,
                        const char *key, const char *file_key, const char *path,
                        const char **secret);

#endif
