#include "frame.h"

#include "crc32.h"
#include "wire.h"

static int close_frame(frame_decoder *decoder, frame *out)
{
    const uint8_t *buffer = decoder->buffer;
    const uint32_t used = decoder->used;
    if (decoder->broken || decoder->left != 0 || used < FRAME_HEADER_BYTES + FRAME_CRC_BYTES) return 0;
    const uint32_t body = used - FRAME_CRC_BYTES;
    if (crc32(0, buffer, body) != wire_get32(buffer + body) || buffer[1] != FRAME_VERSION) return 0;
    out->kind = buffer[0];
    out->request = (uint16_t)wire_get16(buffer + 2);
    out->session = wire_get32(buffer + 4);
    out->payload = buffer + FRAME_HEADER_BYTES;
    out->bytes = body - FRAME_HEADER_BYTES;
    return 1;
}

static void keep(frame_decoder *decoder, uint8_t byte)
{
    if (decoder->used == FRAME_MAX_BYTES) decoder->broken = 1;
    else decoder->buffer[decoder->used++] = byte;
}

int frame_feed(frame_decoder *decoder, uint8_t byte, frame *out)
{
    if (byte == 0) {
        const int empty = decoder->code == 0;
        const int sound = !empty && close_frame(decoder, out);
        if (!empty && !sound) decoder->dropped++;
        decoder->used = decoder->left = decoder->code = decoder->broken = 0;
        return sound;
    }
    if (decoder->left > 0) {
        decoder->left--;
        keep(decoder, byte);
        return 0;
    }
    /* A block ends with an implied zero, unless it is a full one or the first byte of the frame. */
    if (decoder->code != 0 && decoder->code != 0xff) keep(decoder, 0);
    decoder->code = byte;
    decoder->left = (uint8_t)(byte - 1);
    return 0;
}

void frame_send(uint8_t body[FRAME_MAX_BYTES], uint8_t kind, uint16_t request, uint32_t session, uint32_t bytes,
                void (*put)(uint8_t))
{
    uint8_t *at = wire_put8(body, kind);
    at = wire_put8(at, FRAME_VERSION);
    at = wire_put16(at, request);
    wire_put32(at, session);
    uint32_t total = FRAME_HEADER_BYTES + bytes;
    wire_put32(body + total, crc32(0, body, total));
    total += FRAME_CRC_BYTES;

    uint32_t start = 0;
    int open = 1;
    while (open) {
        uint32_t end = start;
        while (end < total && body[end] != 0 && end - start < 254) end++;
        put((uint8_t)(end - start + 1));
        for (uint32_t i = start; i < end; i++) put(body[i]);
        if (end - start == 254) open = end < total;
        else if (end < total) end++; /* the implied zero */
        else open = 0;
        start = end;
    }
    put(0);
}
