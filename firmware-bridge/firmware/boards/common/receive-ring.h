/* A ring that a DMA channel fills in circles: how far it has come is asked of the board. */
#ifndef HILDA_RECEIVE_RING_H
#define HILDA_RECEIVE_RING_H
#include <stdint.h>

enum { RECEIVE_RING_BYTES = 8192 };

extern uint8_t receive_ring[RECEIVE_RING_BYTES];

/* `filled`: bytes the channel has written, modulo the ring's size. -1 when there is none. */
int receive_from_ring(uint32_t filled);

#endif
