/* A ring that a DMA channel fills in circles: how far it has come is asked of the board. */
#ifndef HILDA_RECEIVE_RING_H
#define HILDA_RECEIVE_RING_H
#include <stdint.h>

enum { RECEIVE_RING_BYTES = 8192 };

static uint8_t receive_ring[RECEIVE_RING_BYTES] __attribute__((aligned(32)));
static uint32_t receive_taken;

/* `filled`: bytes the channel has written, modulo the ring's size. -1 when there is none. */
static inline int receive_from_ring(uint32_t filled)
{
    if (receive_taken == filled % RECEIVE_RING_BYTES) return -1;
    const int byte = ((volatile uint8_t *)receive_ring)[receive_taken];
    receive_taken = (receive_taken + 1) % RECEIVE_RING_BYTES;
    return byte;
}

#endif
