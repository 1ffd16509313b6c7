#include "policy/module.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

struct module {
    struct module *next;
    void *handle;
    const struct postern_plugin *plugin;
};

/* behaviour.md, "Plugins and their default priority" */
static const struct {
    const char *theirs, *ours;
} iredapd_names[] = {
    {"amavisd_wblist", "wblist"},
    {"sql_alias_access_policy", "alias_access_policy"},
    {"ldap_maillist_access_policy", "ml_access_policy"},
    {"sql_ml_access_policy", "ml_access_policy"},
    {"sql_force_change_password", "force_change_password"},
    {"sql_force_change_password_in_days", "force_change_password"},
    {"ldap_force_change_password", "force_change_password"},
};

const char *module_canonical_name(const char *name)
{
    for (size_t i = 0; i < sizeof iredapd_names / sizeof iredapd_names[0]; i++)
        if (strcmp(iredapd_names[i].theirs, name) == 0)
            return iredapd_names[i].ours;
    return name;
}

static bool is_plugin_name(const char *name)
{
    for (const char *c = name; *c != '\0'; c++)
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '_')
            return false;
    return name[0] != '\0';
}

static int is_module_file(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 3 && strcmp(entry->d_name + length - 3, ".so") == 0;
}

/* "greylisting, throttle": what could have been meant. */
static void list_modules(const char *plugin_dir, char *text, size_t size)
{
    struct dirent **entries;
    int count = scandir(plugin_dir, &entries, is_module_file, alphasort);
    size_t used = 0;
    snprintf(text, size, "nothing");
    for (int i = 0; i < count; i++) {
        int length = (int)strlen(entries[i]->d_name) - 3;
        if (used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%.*s", i > 0 ? ", " : "", length,
                                     entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static bool say_missing(const char *plugin_dir, const char *path, struct postern_error *error)
{
    char there[256];
    list_modules(plugin_dir, there, sizeof there);
    return postern_error_set(error, "there is no plugin %s; plugin_dir has %s", path, there);
}

static bool check_declaration(const struct postern_plugin *plugin, const char *path,
                              const char *name, struct postern_error *error)
{
    if (plugin == NULL)
        return postern_error_set(error, "%s is not a Postern plugin: it has no POSTERN_PLUGIN",
                                 path);
    if (plugin->abi_version != POSTERN_ABI_VERSION)
        return postern_error_set(error,
                                 "%s was built for plugin ABI %u, this is %u: build it again with "
                                 "the headers of this version",
                                 path, plugin->abi_version, POSTERN_ABI_VERSION);
    if (plugin->name == NULL || strcmp(plugin->name, name) != 0)
        return postern_error_set(error, "%s calls itself \"%s\": a plugin's file has its name",
                                 path, plugin->name != NULL ? plugin->name : "");
    if (plugin->check == NULL || plugin->states == 0)
        return postern_error_set(error, "%s declares no check or no states", path);
    return true;
}

static bool module_open(struct module *module, const char *plugin_dir, const char *name,
                        struct postern_error *error)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s.so", plugin_dir, name) >= sizeof path)
        return postern_error_set(error, "the path of plugin_dir is too long");
    if (access(path, F_OK) != 0)
        return say_missing(plugin_dir, path, error);
    module->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module->handle == NULL)
        return postern_error_set(error, "cannot load the plugin: %s", dlerror());
    module->plugin = dlsym(module->handle, "postern_plugin");
    return check_declaration(module->plugin, path, name, error);
}

static void module_free(struct module *module)
{
    if (module->handle != NULL)
        dlclose(module->handle);
    free(module);
}

static const struct postern_plugin *modules_load(void **modules, const char *plugin_dir,
                                                 const char *name, struct postern_error *error)
{
    name = module_canonical_name(name);
    struct module *list = *modules, *module;
    LL_FOREACH(list, module)
    {
        if (strcmp(module->plugin->name, name) == 0)
            return module->plugin;
    }
    if (!is_plugin_name(name)) {
        postern_error_set(error, "\"%s\" can't be a plugin's name", name);
        return NULL;
    }
    module = calloc(1, sizeof *module);
    if (module == NULL)
        abort();
    if (!module_open(module, plugin_dir, name, error)) {
        module_free(module);
        return NULL;
    }
    LL_PREPEND(list, module);
    *modules = list;
    return module->plugin;
}

static void modules_unload(void *modules)
{
    struct module *list = modules, *module, *next;
    LL_FOREACH_SAFE(list, module, next)
    {
        module_free(module);
    }
}

const struct config_modules policy_modules = {.load = modules_load, .unload = modules_unload};
