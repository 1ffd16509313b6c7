#include "util/user.h"

#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

/* Looked up once: the system may ask a server for it. */
char *user_self(char *text, size_t size)
{
    static struct {
        bool known;
        uid_t uid;
        char name[64];
    } self;
    if (!self.known || self.uid != geteuid()) {
        struct passwd entry, *found = NULL;
        char room[1024];
        self.known = true;
        self.uid = geteuid();
        if (getpwuid_r(self.uid, &entry, room, sizeof room, &found) == 0 && found != NULL)
            snprintf(self.name, sizeof self.name, "%s", entry.pw_name);
        else
            snprintf(self.name, sizeof self.name, "%u", (unsigned)self.uid);
    }
    snprintf(text, size, "%s", self.name);
    return text;
}
