/*
 * Domain names as they are on the wire: labels with their lengths, ended by the root, letters in
 * lower case. Two names are the same when these bytes are.
 *
 * Source: RFC 1035, 3.1 and 4.1.4; RFC 4343 (letters are equal in both cases).
 */
#ifndef POSTERN_DNS_DNS_NAME_H
#define POSTERN_DNS_DNS_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define DNS_NAME_MAX 255

/* Room for any name in text: each byte may take four characters. */
#define DNS_NAME_TEXT (4 * DNS_NAME_MAX)

struct dns_name {
    unsigned char length; /* of wire, with the root's byte; 0: no name */
    unsigned char wire[DNS_NAME_MAX];
};

/* One dot at the end is taken. False for what is no name: too long, an empty label. */
bool dns_name_parse(const char *text, struct dns_name *name);

/*
 * Reads the name at *at of a message, pointers followed, and moves *at behind it. False when it
 * is not one: cut off, too long, pointers that do not lead back. Takes bounded time.
 */
bool dns_name_read(const unsigned char *message, size_t size, size_t *at, struct dns_name *name);

/* Moves *at behind the name without looking where its pointers lead. False when it is cut off. */
bool dns_name_skip(const unsigned char *message, size_t size, size_t *at);

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);

/* Without the last dot, "" for the root; bytes that are not in host names as \. or \DDD. */
char *dns_name_text(const struct dns_name *name, char text[DNS_NAME_TEXT]);

#endif
