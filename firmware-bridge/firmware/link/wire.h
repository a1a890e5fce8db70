/* Little-endian numbers at any address: Cortex-M0+ faults on unaligned words. */
#ifndef HILDA_WIRE_H
#define HILDA_WIRE_H
#include <stdint.h>

static inline uint32_t wire_get16(const uint8_t *at) { return (uint32_t)at[0] | (uint32_t)at[1] << 8; }

static inline uint32_t wire_get32(const uint8_t *at) { return wire_get16(at) | wire_get16(at + 2) << 16; }

static inline uint8_t *wire_put8(uint8_t *at, uint32_t value)
{
    *at = (uint8_t)value;
    return at + 1;
}

static inline uint8_t *wire_put16(uint8_t *at, uint32_t value)
{
    return wire_put8(wire_put8(at, value), value >> 8);
}

static inline uint8_t *wire_put32(uint8_t *at, uint32_t value)
{
    return wire_put16(wire_put16(at, value), value >> 16);
}

#endif
