/*
 * What SQLite says, in words that name the file and the remedy. A connection on a file that
 * can't be read or written is given up, so that a repaired file is picked up, but not
 * within its first second: opening costs more than failing does.
 */
#include "db/sqlite_connection.h"

#include "runtime/fiber.h"
#include "util/user.h"
#include <string.h>

#define REOPEN_AFTER 1.0

struct explanation {
    int code;
    bool reopen;
    const char *what;
    const char *remedy;
};

static const struct explanation explanations[] = {
    {SQLITE_FULL, false, "the disk (or the user's quota) is full", "free some space"},
    {SQLITE_READONLY, true, "it can't be written",
     "let this user write the file and its folder, or mount the file system read-write"},
    {SQLITE_IOERR, true, "reading or writing it failed",
     "look for disk errors in the kernel's log"},
    {SQLITE_CORRUPT, true, "its content is damaged",
     "stop the daemon, then restore a backup or rescue it with `sqlite3 FILE .recover`"},
    {SQLITE_NOTADB, true, "it is not an SQLite database",
     "restore a backup, or move it away and run `posternctl db init`"},
    {SQLITE_CANTOPEN, true, "it can't be opened",
     "see that it exists (`posternctl db init` makes it) and that this user may read and write "
     "it and its folder"},
    {SQLITE_PERM, true, "it can't be opened", "let this user read and write it and its folder"},
    {SQLITE_NOMEM, false, "there is no memory for it", "look at what uses the memory"},
    {SQLITE_INTERRUPT, false, "a statement did not end before its deadline",
     "see whether its tables have their indexes (`posternctl db status`)"},
};

static const struct explanation *explanation_find(int code)
{
    for (size_t i = 0; i < sizeof explanations / sizeof explanations[0]; i++)
        if (explanations[i].code == (code & 0xff))
            return &explanations[i];
    return NULL;
}

static void explain(const char *path, const struct explanation *explanation, int code,
                    int system_error, struct postern_error *error)
{
    char user[64];
    postern_error_set(error, "%s: %s (%s%s%s, as user %s): %s", path, explanation->what,
                      sqlite3_errstr(code), system_error != 0 ? "; " : "",
                      system_error != 0 ? strerror(system_error) : "", user_self(user, sizeof user),
                      explanation->remedy);
}

static const char *statement_remedy(const char *message)
{
    bool schema = strncmp(message, "no such table", 13) == 0 ||
                  strncmp(message, "no such column", 14) == 0 ||
                  strstr(message, "has no column named") != NULL;
    return schema ? ": run `posternctl db migrate`" : "";
}

enum db_result sqlite_open_failure(const char *path, sqlite3 *handle, int code,
                                   struct postern_error *error)
{
    const struct explanation *explanation = explanation_find(code);
    bool says_more = code == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR;
    if (explanation != NULL)
        explain(path, explanation, code,
                says_more && handle != NULL ? sqlite3_system_errno(handle) : 0, error);
    else
        postern_error_set(error, "%s: %s", path,
                          handle != NULL ? sqlite3_errmsg(handle) : sqlite3_errstr(code));
    return DB_ERROR;
}

enum db_result sqlite_failure(struct db_connection *connection, int code,
                              struct postern_error *error)
{
    if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
        return DB_BUSY;
    const struct explanation *explanation = explanation_find(code);
    if (explanation == NULL) {
        const char *message = sqlite3_errmsg(connection->handle);
        postern_error_set(error, "%s: %s%s", connection->path, message, statement_remedy(message));
        return DB_ERROR;
    }
    sqlite_open_failure(connection->path, connection->handle, code, error);
    if (!explanation->reopen || fiber_now() - connection->opened < REOPEN_AFTER)
        return DB_ERROR;
    sqlite3_db_config(connection->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return DB_LOST;
}

enum db_result sqlite_locked_out(const struct db_connection *connection, bool writing,
                                 struct postern_error *error)
{
    if (writing && !connection->locked_out)
        postern_error_set(error, "%s: no time was left to write before the deadline",
                          connection->path);
    else
        postern_error_set(error,
                          "%s: another process holds the %s lock until after the deadline: "
                          "`fuser -v %s` names those that have the file open",
                          connection->path, writing ? "write" : "file's", connection->path);
    return DB_BUSY;
}
