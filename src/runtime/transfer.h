/*
 * libcurl on the loop: a transfer parks the fiber that runs it and nothing else. Only in builds
 * with libcurl.
 */
#ifndef POSTERN_RUNTIME_TRANSFER_H
#define POSTERN_RUNTIME_TRANSFER_H

#include <curl/curl.h>

/*
 * Runs what the caller has set up, which stays the caller's; its timeout, signals and private
 * pointer are set here. CURLE_OPERATION_TIMEDOUT at the deadline.
 */
CURLcode transfer_run(CURL *easy, double deadline);

#endif
