/* The UART of the RP2040 and the RP2350, an Arm PL011 (RP2040 data sheet 4.2, RP2350 data sheet 12.1). */
#ifndef HILDA_PL011_H
#define HILDA_PL011_H
#include "cortex.h"

enum { PL011_RECEIVE_EMPTY = 1 << 4, PL011_SEND_FULL = 1 << 5, PL011_BUSY = 1 << 3 };

/* 8 bits, FIFOs; interrupts on receive and its time-out, which end a sleep. The divider is in 64ths, rounded. */
static inline void pl011_start(uint32_t uart, uint32_t clock_hz, uint32_t baud)
{
    const uint32_t divider = (8 * clock_hz / baud + 1) / 2;
    REGISTER(uart + 0x24) = divider / 64;
    REGISTER(uart + 0x28) = divider % 64;
    REGISTER(uart + 0x2c) = 3u << 5 | 1u << 4;
    REGISTER(uart + 0x30) = 1u << 9 | 1u << 8 | 1;
    REGISTER(uart + 0x38) = 1u << 4 | 1u << 6;
}

static inline int pl011_is_empty(uint32_t uart) { return (REGISTER(uart + 0x18) & PL011_RECEIVE_EMPTY) != 0; }

static inline int pl011_receive(uint32_t uart) { return pl011_is_empty(uart) ? -1 : (int)(REGISTER(uart) & 0xff); }

static inline void pl011_send(uint32_t uart, uint8_t byte)
{
    while (REGISTER(uart + 0x18) & PL011_SEND_FULL) {
    }
    REGISTER(uart) = byte;
}

static inline void pl011_flush(uint32_t uart)
{
    while (REGISTER(uart + 0x18) & PL011_BUSY) {
    }
}

#endif
