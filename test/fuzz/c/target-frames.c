/* Bytes of a line as they come: the decoder of frames alone. What it takes for a frame must be one when it is sent again. */
#include <stdlib.h>
#include <string.h>

#include "../../../firmware-bridge/firmware/link/frame.h"
#include "guided.h"

static frame_decoder again;
static frame echoed;
static int came_back;

static void put(uint8_t byte) {
  if (frame_feed(&again, byte, &echoed)) came_back++;
}

void target_run(const uint8_t *bytes, uint32_t count) {
  frame_decoder *decoder = calloc(1, sizeof *decoder);
  static uint8_t body[FRAME_MAX_BYTES];
  for (uint32_t i = 0; i < count; i++) {
    frame got;
    if (!frame_feed(decoder, bytes[i], &got)) continue;
    if (got.bytes > FRAME_MAX_PAYLOAD || got.payload < decoder->buffer) abort();
    memcpy(body + FRAME_HEADER_BYTES, got.payload, got.bytes);
    came_back = 0;
    frame_send(body, got.kind, got.request, got.session, got.bytes, put);
    if (came_back != 1 || echoed.kind != got.kind || echoed.request != got.request || echoed.session != got.session) abort();
    if (echoed.bytes != got.bytes || memcmp(echoed.payload, got.payload, got.bytes)) abort();
  }
  free(decoder);
}
