/* A line of text in, a line out, for the vectors that C and TypeScript share:
   "e KIND REQUEST SESSION PAYLOAD": encodes, answers with the bytes on the line;
   "d BYTES": decodes, answers with "KIND REQUEST SESSION PAYLOAD" of each frame, joined by " | ", then " # DROPPED".
   Numbers are decimal, bytes hexadecimal, "-" stands for none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../link/frame.h"

static char text[1 << 20];
static uint8_t bytes[1 << 19];

static uint32_t from_hex(const char *hex)
{
    uint32_t count = 0;
    unsigned value;
    for (; hex[0] != '-' && sscanf(hex, "%2x", &value) == 1; hex += 2) bytes[count++] = (uint8_t)value;
    return count;
}

static void put(uint8_t byte) { printf("%02x", byte); }

static void encode(char *at)
{
    static uint8_t body[FRAME_MAX_BYTES];
    const unsigned long kind = strtoul(at, &at, 10), request = strtoul(at, &at, 10), session = strtoul(at, &at, 10);
    const uint32_t count = from_hex(at + 1);
    if (count > FRAME_MAX_PAYLOAD) exit(2);
    memcpy(body + FRAME_HEADER_BYTES, bytes, count);
    frame_send(body, (uint8_t)kind, (uint16_t)request, (uint32_t)session, count, put);
    printf("\n");
}

static void decode(const char *hex)
{
    static frame_decoder decoder;
    memset(&decoder, 0, sizeof decoder);
    const uint32_t count = from_hex(hex);
    const char *between = "";
    for (uint32_t i = 0; i < count; i++) {
        frame got;
        if (!frame_feed(&decoder, bytes[i], &got)) continue;
        printf("%s%u %u %lu ", between, got.kind, got.request, (unsigned long)got.session);
        for (uint32_t j = 0; j < got.bytes; j++) put(got.payload[j]);
        if (got.bytes == 0) printf("-");
        between = " | ";
    }
    printf(" # %lu\n", (unsigned long)decoder.dropped);
}

int main(void)
{
    while (fgets(text, sizeof text, stdin)) {
        if (text[0] == 'e') encode(text + 2);
        else decode(text + 2);
    }
    return 0;
}
