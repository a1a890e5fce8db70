/* Arm MPS3, application note 547: Cortex-M55. Addresses are the secure aliases: the core starts in secure state. */
#include "../board.h"
#include "../common/mps2.h"

enum { KB = 1024 };

const mps2_map mps2 = {.uart = 0x59303000, .uart_receive_irq = 33, .instructions = 125, .ticks_log2 = 9};

const board_facts board = {
    .name = "mps3-an547",
    .core_hz = 32000000,
    .ticks_hz = 7812500,
    .tick_unit = TICKS_ARE_INSTRUCTIONS,
    .is_flash = 0,
    .window_bytes = 8192,
    .flash_window_bytes = 4096,
    .slot = {(uint8_t *)0x01000000, (uint8_t *)0x01100000},
    .slot_bytes = 1024 * KB,
    .pool = (uint8_t *)(256 * KB),
    .pool_bytes = 256 * KB,
    .erase_bytes = 4096,
    .firmware_bytes = 256 * KB,
};
