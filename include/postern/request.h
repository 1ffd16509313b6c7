/*
 * A policy request as Postfix sent it, with what follows from it.
 *
 * Every string is there: missing and empty attributes are "". All of it lives
 * in req->arena, until the reply is sent.
 *
 * Source: Postfix SMTPD_POLICY_README; behaviour.md, "The policy protocol".
 */
#ifndef POSTERN_REQUEST_H
#define POSTERN_REQUEST_H

#include <postern/arena.h>
#include <postern/network.h>
#include <stdbool.h>
#include <stdint.h>

/* Protocol states, as bits: a plugin names the set that it handles. */
enum postern_state {
    POSTERN_CONNECT = 1 << 0,
    POSTERN_EHLO = 1 << 1,
    POSTERN_HELO = 1 << 2,
    POSTERN_MAIL = 1 << 3,
    POSTERN_RCPT = 1 << 4,
    POSTERN_DATA = 1 << 5,
    POSTERN_END_OF_MESSAGE = 1 << 6,
    POSTERN_VRFY = 1 << 7,
    POSTERN_ETRN = 1 << 8,
    POSTERN_OTHER_STATE = 1 << 9
};

struct postern_request {
    enum postern_state state;
    const char *protocol_state; /* as sent: "RCPT", "END-OF-MESSAGE" */
    const char *protocol_name;
    const char *helo_name;
    const char *queue_id;
    const char *instance;

    const char *sender;             /* lower case; "" for the null sender */
    const char *sender_without_ext; /* "" when it does not parse as an address */
    const char *sender_domain;      /* "" when it has none or does not parse */
    const char *recipient;          /* lower case; "" at END-OF-MESSAGE with several */
    const char *recipient_without_ext;
    const char *recipient_domain;

    const char *client_address; /* text as sent; `client` is the same, parsed */
    const char *client_name;
    const char *reverse_client_name; /* lower case */
    const char *client_port;
    const char *server_address;
    const char *server_port;

    const char *sasl_method;
    const char *sasl_username; /* lower case; "" when not authenticated */
    const char *sasl_sender;
    const char *sasl_domain; /* domain of sasl_username, or "" */

    const char *ccert_subject;
    const char *ccert_issuer;
    const char *ccert_fingerprint;
    const char *ccert_pubkey_fingerprint;
    const char *encryption_protocol;
    const char *encryption_cipher;
    const char *encryption_keysize;
    const char *etrn_domain;
    const char *stress;
    const char *policy_context;
    const char *compatibility_level;
    const char *mail_version;

    uint64_t size;            /* bytes; 0 before END-OF-MESSAGE */
    uint32_t recipient_count; /* 0 before END-OF-MESSAGE */

    const char *recipient_delimiters; /* as configured, for postern_address_without_ext */

    struct postern_ip client;
    bool client_is_trusted; /* loopback or in `mynetworks` */
    bool sender_is_srs; /* its domain is that of `srs { domain }`: rewritten here, or a bounce */

    /*
     * The recipients of this message (lower case) that Postern has let pass at RCPT on
     * this connection, in order; at RCPT, those before this one. When there were more than
     * is remembered (1000 addresses or 256 KB), recipients_complete is false.
     */
    const char *const *recipients;
    size_t recipients_length;
    bool recipients_complete;

    int64_t now;     /* wall clock, Unix seconds, one value for the whole request */
    double deadline; /* end of request_timeout, seconds on CLOCK_MONOTONIC */

    struct postern_arena *arena;
    struct request_work *work; /* the daemon's own: verdict, chain position */
};

#endif
