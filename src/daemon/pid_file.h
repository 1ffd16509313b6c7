/*
 * The file that says which process is the master. It is locked for as long as that one
 * lives, so that a file left by a crash means nothing and a second instance is refused.
 */
#ifndef POSTERN_DAEMON_PID_FILE_H
#define POSTERN_DAEMON_PID_FILE_H

#include <postern/plugin.h>
#include <stdbool.h>
#include <sys/types.h>

struct pid_file {
    char *path;
    int fd; /* -1: there is none */
};

/*
 * Creates the file and its folder where that is missing (owned by user, so that it can be
 * removed after the privileges are dropped), locks it and writes our process id. An empty path
 * switches it off. False with error set, among others when another instance holds the lock.
 */
bool pid_file_open(struct pid_file *file, const char *path, const char *user,
                   struct postern_error *error);

/* In the master: removes the file, or empties it where that is not allowed. */
void pid_file_remove(struct pid_file *file);

#endif
