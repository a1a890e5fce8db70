/* Sessions of LINK.md: whose frames are served, in which order, and how they are answered. */
#ifndef HILDA_SESSION_H
#define HILDA_SESSION_H
#include <stdint.h>

#include "codes.h"
#include "frame.h"

typedef struct {
    uint8_t kind;
    /* On which it came, and on which it is answered. */
    uint8_t line;
    uint16_t request;
    /* In which it came, and in which it is answered: another may be opened meanwhile. */
    uint32_t session;
    const uint8_t *payload;
    uint32_t bytes;
} request;

/* Feeds what the line brought; 1 when a request is to be served. Frames of other sessions and replays are answered here. */
int session_poll(request *out);

/* A hello that came while the board was at work: it is served when the work has ended. The latest one counts. */
void session_defer(const request *asked);
int session_deferred(request *out);

/* The reply's payload goes here, at most FRAME_MAX_PAYLOAD bytes; the request's own payload stays intact. */
uint8_t *reply_payload(void);
void reply(const request *to, uint32_t bytes);
void reply_error(const request *to, uint8_t code, uint32_t operator_index, uint32_t detail);
/* A frame that answers nothing, to where the last sound request came from: log, boot, want. */
void announce(uint8_t kind, const void *payload, uint32_t bytes);
/* How far a request is that takes long: of `of` parts, `done` are done. */
void report_progress(const request *of_request, uint32_t done, uint32_t of);

uint32_t session_dropped(void);

#endif
