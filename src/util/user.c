#include "util/user.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

char *user_self(char *text, size_t size)
{
    struct passwd entry, *found = NULL;
    char room[1024];
    if (getpwuid_r(geteuid(), &entry, room, sizeof room, &found) == 0 && found != NULL)
        snprintf(text, size, "%s", entry.pw_name);
    else
        snprintf(text, size, "%u", (unsigned)geteuid());
    return text;
}
