/* Netduino Plus 2 in QEMU alone: an STM32F405 with its USART 1, reference manual RM0090, without clocks, DMA, cycle counter
   or chip id. The line is the one of boards with silicon of this family; ticks are instructions. */
#include "../board.h"

#include <string.h>

#include "../common/cortex.h"
#include "../common/stm32.h"
#include "../common/systick.h"

enum { CLOCK_HZ = 168000000, BAUD = 115200, KB = 1024, USART1_IRQ = 37, RECEIVED = 1 << 5 };

static const uint32_t rcc = 0x40023800, usart = 0x40011000, flash = 0x40023c00;

const stm32_map stm32 = {
    STM32_UART_OLD(usart),
    .reset_flags = rcc + 0x74,
    .clear_reset_flags = 1u << 24,
    .flash_keys = flash + 4,
    .flash_status = flash + 0x0c,
    .flash_control = flash + 0x10,
    .flash_errors = 0xf2,
};

const board_facts board = {
    .name = "netduinoplus2",
    .core_hz = CLOCK_HZ,
    .ticks_hz = 7812500,
    .tick_unit = TICKS_ARE_INSTRUCTIONS,
    .is_flash = 0,
    .window_bytes = 8192,
    .flash_window_bytes = 4096,
    .slot = {(uint8_t *)0x20020000, (uint8_t *)0x20028000},
    .slot_bytes = 32 * KB,
    .pool = (uint8_t *)0x2001c000,
    .pool_bytes = 16 * KB,
    .erase_bytes = 4096,
    .firmware_bytes = 128 * KB,
};

void board_start(void)
{
    /* 30.6: 84 MHz of APB2 over the rate; 8 bits; interrupt on receive, which ends a sleep. */
    REGISTER(usart + 0x08) = (CLOCK_HZ / 2 + BAUD / 2) / BAUD;
    REGISTER(usart + 0x0c) = 1u << 13 | RECEIVED | 1u << 3 | 1u << 2;
    NVIC_ISER(USART1_IRQ / 32) = 1u << USART1_IRQ % 32;
}

void board_wait(void)
{
    NVIC_ICPR(USART1_IRQ / 32) = 1u << USART1_IRQ % 32;
    if (!(REGISTER(usart) & RECEIVED)) sleep_until_pending();
}

void board_ticks_start(void) { systick_start(); }
void board_ticks_stop(void) { systick_stop(); }

/* An instruction takes 128 ns in QEMU, 21.504 ticks of 168 MHz: 2^24 ticks are 780190 instructions and 10/21. Multiplied
   out so that 32 bits suffice and no division depends on the count; rounded to the nearest, since a tick is little beside
   an instruction. */
uint32_t board_ticks(void)
{
    const uint64_t count = systick_count();
    const uint32_t wraps = (uint32_t)(count >> 24), left = (uint32_t)count & SYSTICK_TOP;
    return wraps * 780190u + (wraps * 1280u + left * 125u + 1344u) / 2688u;
}

uint32_t board_clock_ppm(void) { return 0; }

/* An emulator is restarted from outside. */
void board_watchdog_start(void) {}
void board_watchdog_stop(void) {}

void board_restart(void) { restart_core(); }

int board_erase(uint8_t *unit)
{
    memset(unit, 0xff, board.erase_bytes);
    return 0;
}

int board_program(uint8_t *page, const uint8_t bytes[STORAGE_PAGE_BYTES])
{
    memcpy(page, bytes, STORAGE_PAGE_BYTES);
    return 0;
}
