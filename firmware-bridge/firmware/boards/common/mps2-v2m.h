/* The MPS2 boards of application notes 385, 386 and 500 are one board but for their core: 4 MB for code at 0, of which the
   firmware has the first 256 KB, 4 MB for data, 25 MHz. */
#ifndef HILDA_MPS2_V2M_H
#define HILDA_MPS2_V2M_H
#include "../board.h"
#include "mps2.h"

enum { MB = 1024 * 1024 };

#define MPS2_V2M_MAP {.uart = 0x40004000, .uart_receive_irq = 0, .instructions = 5, .ticks_log2 = 4}

#define MPS2_V2M_FACTS(called)                            \
    {                                                     \
        .name = called,                                   \
        .core_hz = 25000000,                              \
        .ticks_hz = 7812500,                              \
        .tick_unit = TICKS_ARE_INSTRUCTIONS,              \
        .is_flash = 0,                                    \
        .window_bytes = 8192,                             \
        .flash_window_bytes = 4096,                       \
        .slot = {(uint8_t *)(2 * MB), (uint8_t *)(3 * MB)}, \
        .slot_bytes = MB,                                 \
        .pool = (uint8_t *)MB,                            \
        .pool_bytes = MB,                                 \
        .erase_bytes = 4096,                              \
        .firmware_bytes = 256 * 1024,                     \
    }

#endif
