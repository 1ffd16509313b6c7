#include "db/schema_file.h"

#include "util/user.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool folder_of(const char *path, char folder[PATH_MAX], struct postern_error *error)
{
    char copy[PATH_MAX];
    if (path == NULL || path[0] == '\0')
        return postern_error_set(error, "no `path` is set: give the file's name");
    if (strlen(path) >= sizeof copy - 8) /* room for "-wal" */
        return postern_error_set(error, "%.60s...: the path is too long", path);
    memcpy(copy, path, strlen(path) + 1);
    snprintf(folder, PATH_MAX, "%s", dirname(copy));
    return true;
}

/* --- looking --- */

static bool may_use(const char *path, int mode, const char *remedy, struct postern_error *error)
{
    char user[64];
    if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0)
        return true;
    return postern_error_set(error, "%s can't be written by user %s: %s; %s", path,
                             user_self(user, sizeof user), strerror(errno), remedy);
}

/* Left by another user's process, they make the database unusable as well as its file does. */
static bool may_use_companions(const char *path, struct postern_error *error)
{
    static const char *const suffixes[] = {"-wal", "-shm"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char companion[PATH_MAX];
        snprintf(companion, sizeof companion, "%s%s", path, suffixes[i]);
        if (access(companion, F_OK) == 0 &&
            !may_use(companion, R_OK | W_OK, "give it to the owner of the database", error))
            return false;
    }
    return true;
}

enum schema_state schema_file_check(const struct database_config *config,
                                    struct postern_error *error)
{
    char folder[PATH_MAX];
    struct stat status;
    if (!folder_of(config->path, folder, error))
        return SCHEMA_UNUSABLE;
    bool seen = stat(config->path, &status) == 0;
    if (!seen && errno == ENOENT) {
        postern_error_set(error, "%s does not exist: run `posternctl db init`", config->path);
        return SCHEMA_EMPTY;
    }
    if (seen && !S_ISREG(status.st_mode)) {
        postern_error_set(error, "%s is not a file: give the file's name as `path`", config->path);
        return SCHEMA_UNUSABLE;
    }
    bool good =
        may_use(config->path, R_OK | W_OK, "give the file to that user, or run as its owner",
                error) &&
        may_use(folder, W_OK | X_OK,
                "give the folder to that user: SQLite makes files beside the database", error) &&
        may_use_companions(config->path, error);
    return good ? SCHEMA_READY : SCHEMA_UNUSABLE;
}

/* --- making --- */

struct owner {
    uid_t user;
    gid_t group;
};

static bool owner_find(const char *user, const char *group, struct owner *owner,
                       struct postern_error *error)
{
    const struct passwd *passwd = getpwnam(user);
    if (passwd == NULL)
        return postern_error_set(error, "there is no user \"%s\": make it, or set `user`", user);
    owner->user = passwd->pw_uid;
    const struct group *entry = getgrnam(group);
    if (entry == NULL)
        return postern_error_set(error, "there is no group \"%s\": make it, or set `group`", group);
    owner->group = entry->gr_gid;
    return true;
}

/* Only root can give files away; what another user makes is theirs. */
static bool give(int fd, const char *path, const struct owner *owner, struct postern_error *error)
{
    if (geteuid() != 0 || fchown(fd, owner->user, owner->group) == 0)
        return true;
    return postern_error_set(error, "%s: can't be given to its owner: %s", path, strerror(errno));
}

static bool cannot_make(const char *path, struct postern_error *error)
{
    char user[64];
    return postern_error_set(error, "%s: can't be made by user %s: %s", path,
                             user_self(user, sizeof user), strerror(errno));
}

static bool folder_make(const char *folder, const struct owner *owner, struct postern_error *error)
{
    if (mkdir(folder, 0750) != 0)
        return errno == EEXIST || cannot_make(folder, error);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return cannot_make(folder, error);
    bool given = give(fd, folder, owner, error);
    close(fd);
    return given;
}

/* True with *made false when it is there already. */
static bool file_make(const char *path, const struct owner *owner, bool *made,
                      struct postern_error *error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    *made = fd >= 0;
    if (fd < 0)
        return errno == EEXIST || cannot_make(path, error);
    bool given = fchmod(fd, 0640) == 0 || cannot_make(path, error);
    given = given && give(fd, path, owner, error);
    close(fd);
    return given;
}

static bool file_set_wal(const char *path, struct postern_error *error)
{
    sqlite3 *handle = NULL;
    int code = sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(handle, 1000);
        code = sqlite3_exec(handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    }
    if (code != SQLITE_OK)
        postern_error_set(error, "%s: %s", path, sqlite3_errmsg(handle));
    sqlite3_close(handle);
    return code == SQLITE_OK;
}

bool schema_create_database(const struct database_config *config, const char *user,
                            const char *group, struct postern_error *error)
{
    char folder[PATH_MAX];
    struct owner owner = {0};
    bool made = false;
    if (strcmp(config->driver, "sqlite") != 0)
        return true;
    if (!folder_of(config->path, folder, error) || !owner_find(user, group, &owner, error) ||
        !folder_make(folder, &owner, error))
        return false;
    bool good = file_make(config->path, &owner, &made, error) &&
                (!made || file_set_wal(config->path, error));
    if (!good && made)
        unlink(config->path);
    return good;
}
