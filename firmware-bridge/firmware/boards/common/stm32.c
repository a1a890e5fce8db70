#include "stm32.h"

#include <string.h>

#include "../board.h"
#include "cortex.h"
#include "dwt-board.h"
#include "receive-ring.h"

enum { RECEIVED = 1 << 5, TRANSMIT_COMPLETE = 1 << 6, TRANSMIT_EMPTY = 1 << 7 };

static const uint32_t iwdg = 0x40003000;

uint8_t board_reset_reason(void)
{
    const uint32_t flags = REGISTER(stm32.reset_flags);
    REGISTER(stm32.reset_flags) |= stm32.clear_reset_flags;
    if (flags & 1u << 29) return RESET_WATCHDOG;
    return flags & 1u << 28 ? RESET_ASKED : RESET_POWER;
}

void board_chip_id(uint8_t id[16])
{
    memset(id, 0, 16);
    if (stm32.chip_id) memcpy(id, (const void *)(uintptr_t)stm32.chip_id, 12);
}

int board_receive(void)
{
    if (stm32.ring_left) return receive_from_ring(RECEIVE_RING_BYTES - (REGISTER(stm32.ring_left) & 0xffff));
    return REGISTER(stm32.status) & RECEIVED ? (int)(REGISTER(stm32.received) & 0xff) : -1;
}

void board_send(uint8_t byte)
{
    while (!(REGISTER(stm32.status) & TRANSMIT_EMPTY)) {
    }
    REGISTER(stm32.sent) = byte;
}

void board_flush(void)
{
    while (!(REGISTER(stm32.status) & TRANSMIT_COMPLETE)) {
    }
}

/* RM0385 27.4, RM0432 43.4: 32 kHz / 64, 2000 counts. */
void watchdog_begin(void)
{
    REGISTER(iwdg) = 0xcccc;
    REGISTER(iwdg) = 0x5555;
    REGISTER(iwdg + 4) = 4;
    REGISTER(iwdg + 8) = 2000;
}

void board_watchdog_kick(void) { REGISTER(iwdg) = 0xaaaa; }

void stm32_flash_unlock(void)
{
    if (!(REGISTER(stm32.flash_control) & 1u << 31)) return;
    REGISTER(stm32.flash_keys) = 0x45670123;
    REGISTER(stm32.flash_keys) = 0xcdef89ab;
}

int stm32_flash_done(void)
{
    while (REGISTER(stm32.flash_status) & 1u << 16) {
    }
    const uint32_t errors = REGISTER(stm32.flash_status) & stm32.flash_errors;
    REGISTER(stm32.flash_status) = stm32.flash_errors | 1;
    REGISTER(stm32.flash_control) = 1u << 31;
    return errors ? -1 : 0;
}
