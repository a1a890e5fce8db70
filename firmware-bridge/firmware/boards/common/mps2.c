#include "mps2.h"

#include <string.h>

#include "../board.h"
#include "cortex.h"
#include "systick.h"

enum { ASKED_MAGIC = 0x41534b44 };

/* These boards do not tell why they started. */
__attribute__((section(".kept"))) static uint32_t asked;

void board_start(void)
{
    REGISTER(mps2.uart + 0x10) = board.core_hz / 115200;
    REGISTER(mps2.uart + 0x08) = 1 | 2 | 8; /* send, receive, interrupt on receive */
    NVIC_ISER(mps2.uart_receive_irq / 32) = 1u << mps2.uart_receive_irq % 32;
}

uint8_t board_reset_reason(void)
{
    const uint8_t reason = asked == ASKED_MAGIC ? RESET_ASKED : RESET_POWER;
    asked = 0;
    return reason;
}

void board_chip_id(uint8_t id[16]) { memset(id, 0, 16); }

int board_receive(void)
{
    if (!(REGISTER(mps2.uart + 4) & 2)) return -1;
    return (int)(REGISTER(mps2.uart) & 0xff);
}

void board_send(uint8_t byte)
{
    while (REGISTER(mps2.uart + 4) & 1) {
    }
    REGISTER(mps2.uart) = byte;
}

void board_flush(void)
{
    while (REGISTER(mps2.uart + 4) & 1) {
    }
}

void board_wait(void)
{
    REGISTER(mps2.uart + 0x0c) = 2;
    NVIC_ICPR(mps2.uart_receive_irq / 32) = 1u << mps2.uart_receive_irq % 32;
    if (!(REGISTER(mps2.uart + 4) & 2)) sleep_until_pending();
}

/* QEMU lets an instruction take 128 ns (-icount shift=7), more than one tick of the core's clock: the ticks name the
   instruction. The counter starts a tick late, with which rounding down is right for every instruction: its count lies
   between 0 and 88 of the 128 ns above the instruction's own time (25 MHz; 0 and 97 at 32 MHz). Rounded to the nearest, it
   would be one off or not by where in the 128 ns a wait for the link ended. 2^24 ticks are whole instructions. */
uint32_t board_ticks(void)
{
    return (uint32_t)(systick_count() * mps2.instructions >> mps2.ticks_log2);
}

void board_ticks_start(void) { systick_start(); }
void board_ticks_stop(void) { systick_stop(); }

uint32_t board_clock_ppm(void) { return 0; }

/* An emulator is restarted from outside. */
void board_watchdog_start(void) {}
void board_watchdog_kick(void) {}
void board_watchdog_stop(void) {}

void board_restart(void)
{
    asked = ASKED_MAGIC;
    restart_core();
}

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
