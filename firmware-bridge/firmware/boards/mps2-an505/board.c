/* Arm MPS2, application note 505: Cortex-M33. Addresses are the secure aliases: the core starts in secure state. */
#include "../board.h"
#include "../common/mps2.h"

enum { KB = 1024, MB = 1024 * 1024, CODE = 0x10000000 };

const mps2_map mps2 = {.uart = 0x50200000, .uart_receive_irq = 32, .instructions = 25, .ticks_log2 = 6};

const board_facts board = {
    .name = "mps2-an505",
    .core_hz = 20000000,
    .ticks_hz = 7812500,
    .tick_unit = TICKS_ARE_INSTRUCTIONS,
    .is_flash = 0,
    .window_bytes = 8192,
    .flash_window_bytes = 4096,
    .slot = {(uint8_t *)(CODE + 2 * MB), (uint8_t *)(CODE + 3 * MB)},
    .slot_bytes = MB,
    .pool = (uint8_t *)(CODE + MB),
    .pool_bytes = MB,
    .erase_bytes = 4096,
    .firmware_bytes = 256 * KB,
};
