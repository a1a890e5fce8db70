#include "receive-ring.h"

uint8_t receive_ring[RECEIVE_RING_BYTES] __attribute__((aligned(32)));
static uint32_t taken;

int receive_from_ring(uint32_t filled)
{
    if (taken == filled % RECEIVE_RING_BYTES) return -1;
    const int byte = ((volatile uint8_t *)receive_ring)[taken];
    taken = (taken + 1) % RECEIVE_RING_BYTES;
    return byte;
}
