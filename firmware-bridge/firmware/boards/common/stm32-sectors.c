/* The flash of the F2, F4 and F7 families: erased by sector, written by words (RM0090 3.6, RM0385 3.3). Code is fetched from the
   same flash, so the core waits by itself until it is done. */
#include <string.h>

#include "../board.h"
#include "cortex.h"
#include "stm32.h"

enum { PROGRAM = 1, ERASE_SECTOR = 1 << 1, BY_WORDS = 2 << 8, START = 1 << 16, BUSY = 1 << 16 };

static int written(void)
{
    const int failed = stm32_flash_done();
    stm32_forget_flash();
    return failed;
}

int board_erase(uint8_t *unit)
{
    board_watchdog_kick();
    stm32_flash_unlock();
    REGISTER(stm32.flash_control) = BY_WORDS | stm32_sector(unit) << 3 | ERASE_SECTOR;
    REGISTER(stm32.flash_control) |= START;
    return written();
}

int board_program(uint8_t *page, const uint8_t bytes[STORAGE_PAGE_BYTES])
{
    stm32_flash_unlock();
    REGISTER(stm32.flash_control) = BY_WORDS | PROGRAM;
    for (uint32_t i = 0; i < STORAGE_PAGE_BYTES; i += 4) {
        uint32_t word;
        memcpy(&word, bytes + i, 4);
        REGISTER((uintptr_t)page + i) = word;
        __asm volatile("dsb");
        while (REGISTER(stm32.flash_status) & BUSY) {
        }
    }
    if (written() != 0) return -1;
    return memcmp(page, bytes, STORAGE_PAGE_BYTES) == 0 ? 0 : -1;
}
