/* Frames of LINK.md: COBS-coded, closed by a zero byte, with a CRC-32 over header and payload. */
#ifndef HILDA_FRAME_H
#define HILDA_FRAME_H
#include <stdint.h>

enum { FRAME_VERSION = 1, FRAME_HEADER_BYTES = 8, FRAME_CRC_BYTES = 4, FRAME_MAX_PAYLOAD = 1032 };
enum { FRAME_MAX_BYTES = FRAME_HEADER_BYTES + FRAME_MAX_PAYLOAD + FRAME_CRC_BYTES };

typedef struct {
    uint8_t kind;
    uint16_t request;
    uint32_t session;
    /* Inside the decoder's buffer: valid until the next byte is fed. */
    const uint8_t *payload;
    uint32_t bytes;
} frame;

typedef struct {
    uint8_t buffer[FRAME_MAX_BYTES];
    uint32_t used;
    /* Data bytes left in the present COBS block; the block's code byte. */
    uint8_t left, code;
    /* What came does not fit or is no COBS: skip to the next zero byte. */
    uint8_t broken;
    /* Frames that were dropped. */
    uint32_t dropped;
} frame_decoder;

/* 1 when `byte` closed a sound frame, which is then in `out`; otherwise 0. */
int frame_feed(frame_decoder *decoder, uint8_t byte, frame *out);

/* Header and CRC go around `bytes` of payload that already lie at `body + FRAME_HEADER_BYTES`; sends all of it through `put`. */
void frame_send(uint8_t body[FRAME_MAX_BYTES], uint8_t kind, uint16_t request, uint32_t session, uint32_t bytes,
                void (*put)(uint8_t));

#endif
