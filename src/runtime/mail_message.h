/*
 * Mail messages of our own (RFC 5322, MIME). Headers may be made from data that holds anything:
 * control characters are escaped as in the log, and what is not ASCII is encoded (RFC 2047). Lines
 * end with '\n' alone.
 */
#ifndef POSTERN_RUNTIME_MAIL_MESSAGE_H
#define POSTERN_RUNTIME_MAIL_MESSAGE_H

#include "util/buffer.h"
#include <postern/address.h>
#include <stdint.h>

/* A header of unstructured text such as Subject, folded; a long text is cut. */
void mail_header_text(struct buffer *out, const char *name, const char *text);

/* A header of addresses; those without a domain are completed with host. */
void mail_header_addresses(struct buffer *out, const char *name, struct postern_names addresses,
                           const char *host);

/* Date, a new Message-ID of host, and what tells machines that no human wrote this (RFC 3834). */
void mail_header_origin(struct buffer *out, int64_t time, const char *host);

/* The MIME headers that the text needs, the empty line, and the text: UTF-8, lines below 998. */
void mail_body(struct buffer *out, const char *text);

#endif
