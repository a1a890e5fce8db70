/* Arm MPS2, application note 386: Cortex-M4. */
#include "../board.h"
#include "../common/mps2.h"

enum { MB = 1024 * 1024 };

const mps2_map mps2 = {.uart = 0x40004000, .uart_receive_irq = 0, .instructions = 5, .ticks_log2 = 4};

const board_facts board = {
    .name = "mps2-an386",
    .core_hz = 25000000,
    .ticks_hz = 7812500,
    .tick_unit = TICKS_ARE_INSTRUCTIONS,
    .is_flash = 0,
    .window_bytes = 8192,
    .flash_window_bytes = 4096,
    .slot = {(uint8_t *)(2 * MB), (uint8_t *)(3 * MB)},
    .slot_bytes = MB,
    .pool = (uint8_t *)MB,
    .pool_bytes = MB,
    .erase_bytes = 4096,
    .firmware_bytes = 256 * 1024,
};
