/*
 * The sockets that the daemon listens on.
 *
 * Addresses are "127.0.0.1:7777", "[::1]:7777", "*:7777" (every address of this host, both
 * families) and "unix:/path/to/socket". The master opens all of them before it drops its
 * privileges; a reload makes a new set that takes over the sockets whose address stays.
 */
#ifndef POSTERN_RUNTIME_LISTENER_H
#define POSTERN_RUNTIME_LISTENER_H

#include <postern/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum listener_kind {
    LISTENER_POLICY,
    LISTENER_METRICS,
    LISTENER_SRS_FORWARD,
    LISTENER_SRS_REVERSE,
    LISTENER_SRS_SOCKETMAP
};

struct listener_address {
    struct sockaddr_storage socket;
    socklen_t length;
    bool dual_stack; /* "*": IPv4 comes in through the IPv6 socket */
};

/* False with error set when text is none of the forms above. Names are not resolved. */
bool listener_address_parse(const char *text, struct listener_address *address,
                            struct postern_error *error);

struct listener {
    enum listener_kind kind;
    char *address; /* as configured */
    int fd;        /* non-blocking, close-on-exec; -1 when closed */
    dev_t device;  /* a Unix socket's file, to tell later whether it is still ours */
    ino_t inode;
};

/* A zeroed structure is an empty set. */
struct listener_set {
    struct listener *list;
    size_t count;
};

struct listener_wish {
    enum listener_kind kind;
    const char *address;
};

/*
 * Fills the empty set with what is wished: sockets of previous (or NULL) with the same address
 * are shared, the others are bound. False with error set to a line that says what to do; then
 * the set stays empty and nothing has changed.
 */
bool listener_set_open(struct listener_set *set, const struct listener_set *previous,
                       const struct listener_wish *wishes, size_t count,
                       struct postern_error *error);

/*
 * In the master: closes the sockets of set and removes the files of its Unix sockets, except
 * those that successor (or NULL) has too and those that are another's by now.
 */
void listener_set_release(struct listener_set *set, const struct listener_set *successor);

/* In a child: closes the sockets of that kind, of all others, or all; files stay. */
void listener_set_close_kind(struct listener_set *set, enum listener_kind kind);
void listener_set_close_others(struct listener_set *set, enum listener_kind kind);
void listener_set_close(struct listener_set *set);

#endif
