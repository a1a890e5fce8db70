#include "session.h"

#include <string.h>

#include "../boards/board.h"
#include "wire.h"

static frame_decoder decoders[HILDA_LINES];
static uint8_t body[FRAME_MAX_BYTES];
static uint32_t session;
static uint16_t last_request;
/* On which the session goes on. */
static uint8_t session_line;

uint8_t *reply_payload(void) { return body + FRAME_HEADER_BYTES; }

void reply(const request *to, uint32_t bytes)
{
    board_use_line(to->line);
    frame_send(body, to->kind | KIND_REPLY, to->request, to->session, bytes, board_send);
}

static void refuse(uint8_t kind, uint16_t number, uint32_t in_session, uint8_t code, uint32_t operator_index,
                   uint32_t detail)
{
    uint8_t *at = wire_put8(wire_put8(reply_payload(), kind), code);
    at = wire_put32(wire_put16(at, operator_index), detail);
    frame_send(body, KIND_ERROR, number, in_session, (uint32_t)(at - reply_payload()), board_send);
}

void reply_error(const request *to, uint8_t code, uint32_t operator_index, uint32_t detail)
{
    board_use_line(to->line);
    refuse(to->kind, to->request, to->session, code, operator_index, detail);
}

void announce(uint8_t kind, const void *payload, uint32_t bytes)
{
    if (bytes > FRAME_MAX_PAYLOAD) bytes = FRAME_MAX_PAYLOAD;
    memcpy(reply_payload(), payload, bytes);
    board_use_line(session_line);
    frame_send(body, kind, 0, 0, bytes, board_send);
}

void report_progress(const request *of_request, uint32_t done, uint32_t of)
{
    wire_put32(wire_put32(reply_payload(), done), of);
    board_use_line(of_request->line);
    frame_send(body, KIND_PROGRESS, of_request->request, of_request->session, 8, board_send);
}

static request deferred;

void session_defer(const request *asked) { deferred = *asked; }

int session_deferred(request *out)
{
    if (deferred.kind == 0) return 0;
    *out = deferred;
    deferred.kind = 0;
    return 1;
}

uint32_t session_dropped(void)
{
    uint32_t dropped = 0;
    for (uint8_t line = 0; line < HILDA_LINES; line++) dropped += decoders[line].dropped;
    return dropped;
}

/* Serial-number arithmetic (RFC 1982): ids may wrap. */
static int is_later(uint16_t number, uint16_t than) { return (int16_t)(uint16_t)(number - than) > 0; }

static int poll_line(uint8_t line, request *out)
{
    board_use_line(line);
    for (int byte = board_receive(); byte >= 0; byte = board_receive()) {
        frame got;
        if (!frame_feed(&decoders[line], (uint8_t)byte, &got)) continue;
        if (got.kind >= KIND_LOG) continue;
        const int opens = got.kind == KIND_HELLO && got.session != 0 && got.session != session;
        if (opens) {
            session = got.session;
        } else if (got.session != session || session == 0) {
            refuse(got.kind, got.request, got.session, LINK_SESSION, 0, 0);
            continue;
        } else if (!is_later(got.request, last_request)) {
            refuse(got.kind, got.request, session, LINK_REPLAYED, 0, last_request);
            continue;
        }
        last_request = got.request;
        session_line = line;
        *out = (request){got.kind, line, got.request, session, got.payload, got.bytes};
        return 1;
    }
    return 0;
}

int session_poll(request *out)
{
    for (uint8_t line = 0; line < HILDA_LINES; line++)
        if (poll_line(line, out)) return 1;
    return 0;
}
