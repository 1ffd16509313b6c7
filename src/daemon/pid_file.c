#include "daemon/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* /run is empty after each boot, and not everybody starts us from systemd. */
static void create_folder(const char *path, const char *user)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return;
    const char *folder = dirname(copy);
    const struct passwd *owner = getpwnam(user);
    if (mkdir(folder, 0755) == 0 && geteuid() == 0 && owner != NULL &&
        chown(folder, owner->pw_uid, owner->pw_gid) < 0)
        rmdir(folder);
    free(copy);
}

static bool refuse_second(int fd, const char *path, struct postern_error *error)
{
    char text[32] = "";
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    long pid = length > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0)
        return postern_error_set(error, "another posternd is running: %s is locked", path);
    return postern_error_set(error, "posternd is running already as process %ld (see %s)", pid,
                             path);
}

/* The one whose exit we raced with may have removed the file that we have locked. */
static bool is_at_path(int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

static bool open_locked(struct pid_file *file, const char *path, struct postern_error *error)
{
    for (int tries = 0; tries < 10; tries++) {
        file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (file->fd < 0)
            return postern_error_set(error,
                                     "cannot write the pid_file %s: %s; set pid_file in "
                                     "postern.conf to a path that can be written",
                                     path, strerror(errno));
        bool locked = flock(file->fd, LOCK_EX | LOCK_NB) == 0;
        if (locked && is_at_path(file->fd, path))
            return true;
        if (!locked)
            refuse_second(file->fd, path, error);
        close(file->fd);
        file->fd = -1;
        if (!locked)
            return false;
    }
    return postern_error_set(error, "cannot lock the pid_file %s: it keeps changing", path);
}

bool pid_file_open(struct pid_file *file, const char *path, const char *user,
                   struct postern_error *error)
{
    *file = (struct pid_file){.fd = -1};
    if (path == NULL || path[0] == '\0')
        return true;
    create_folder(path, user);
    if (!open_locked(file, path, error))
        return false;
    file->path = strdup(path);
    if (file->path == NULL || fchmod(file->fd, 0644) < 0 || ftruncate(file->fd, 0) < 0 ||
        dprintf(file->fd, "%ld\n", (long)getpid()) < 0) {
        postern_error_set(error, "cannot write the pid_file %s: %s", path, strerror(errno));
        pid_file_remove(file);
        return false;
    }
    return true;
}

void pid_file_remove(struct pid_file *file)
{
    if (file->fd < 0)
        return;
    if (file->path != NULL && unlink(file->path) < 0 && ftruncate(file->fd, 0) < 0)
        errno = 0;
    close(file->fd);
    free(file->path);
    *file = (struct pid_file){.fd = -1};
}
