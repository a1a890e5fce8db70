/* NUCLEO-L4R5ZI. Section numbers are those of reference manual RM0432. LPUART1 on PG7 and PG8 is the ST-LINK's serial
   port. Compiled, never yet run on the board. */
#include "../board.h"

#include <string.h>

#include "../common/cortex.h"
#include "../common/receive-ring.h"
#include "../common/stm32.h"

/* MSI locked to the 32,768 Hz crystal is 122 times as fast (data sheet DS12023, MSI characteristics in PLL mode: 3.998 MHz). */
enum { MSI_HZ = 122 * 32768, CLOCK_HZ = MSI_HZ / 2 * 60, BAUD = 115200, KB = 1024 };
/* AN4736: locked it is within 0.25 %. Data sheet: alone within 1 % at 30 degrees, and 3.5 % more over 0 to 85. */
enum { LOCKED_PPM = 2500, FREE_PPM = 45000 };

static const uint32_t rcc = 0x40021000, pwr = 0x40007000, flash = 0x40022000, gpio_g = 0x48001800, lpuart = 0x40008000,
                      dma1 = 0x40020000, dmamux = 0x40020800;

/* 58.1: the chip's id. */
const stm32_map stm32 = {
    STM32_UART_NEW(lpuart),
    .ring_left = dma1 + 0x0c,
    .chip_id = 0x1fff7590,
    .reset_flags = rcc + 0x94,
    .clear_reset_flags = 1u << 23,
    .flash_keys = flash + 8,
    .flash_status = flash + 0x10,
    .flash_control = flash + 0x14,
    .flash_errors = 0x3fa,
};

const board_facts board = {
    .name = "nucleo-l4r5zi",
    .core_hz = CLOCK_HZ,
    .ticks_hz = CLOCK_HZ,
    .tick_unit = TICKS_ARE_CYCLES,
    .is_flash = 1,
    .window_bytes = 4096,
    .flash_window_bytes = 4096,
    .slot = {(uint8_t *)0x08080000, (uint8_t *)0x08140000},
    .slot_bytes = 768 * KB,
    .pool = (uint8_t *)0x08020000,
    .pool_bytes = 384 * KB,
    .erase_bytes = 4 * KB,
    .firmware_bytes = 128 * KB,
};

static uint32_t clock_ppm = FREE_PPM;

uint32_t board_clock_ppm(void) { return clock_ppm; }

/* 6.2.3, 6.2.4: locks MSI to the low-speed crystal, which takes up to 2 s to start. Without it the clock runs free, and says
   so. Still at 4 MHz here: a look takes about 10 cycles. */
static void lock_clock_to_crystal(void)
{
    REGISTER(pwr) |= 1u << 8; /* 5.4.1: access to the backup domain */
    while (!(REGISTER(pwr) & 1u << 8)) {
    }
    REGISTER(rcc + 0x90) |= 1;
    for (uint32_t looks = 0; !(REGISTER(rcc + 0x90) & 2); looks++) {
        if (looks == 2000000) return;
    }
    REGISTER(rcc) |= 1u << 2;
    /* Data sheet: within 1 % of the final frequency after 2.5 ms; ten times that. */
    for (volatile uint32_t i = 0; i < 10000; i++) {
    }
    clock_ppm = LOCKED_PPM;
}

static void start_clocks(void)
{
    /* 5.1.8: range 1 boost for 120 MHz; 6.2.5: MSI 4 MHz x 60 / 2; 3.3.3: 5 wait states. */
    REGISTER(rcc + 0x58) |= 1u << 28;
    (void)REGISTER(rcc + 0x58);
    lock_clock_to_crystal();
    REGISTER(pwr + 0x80) &= ~(1u << 8);
    REGISTER(flash) = 5 | 1u << 8 | 1u << 9 | 1u << 10;
    while ((REGISTER(flash) & 15) != 5) {
    }
    REGISTER(rcc + 0x0c) = 1 | 60u << 8 | 1u << 24;
    REGISTER(rcc) |= 1u << 24;
    while (!(REGISTER(rcc) & 1u << 25)) {
    }
    /* 6.2.9: through half the speed on the way up. */
    REGISTER(rcc + 0x08) = 8u << 4;
    REGISTER(rcc + 0x08) |= 3;
    while ((REGISTER(rcc + 0x08) & 0xc) != 0xc) {
    }
    for (volatile uint32_t i = 0; i < 100; i++) {
    }
    REGISTER(rcc + 0x08) &= ~(15u << 4);
}

void board_start(void)
{
    start_clocks();
    REGISTER(rcc + 0x48) |= 1u << 0 | 1u << 2; /* DMA1, DMAMUX1 */
    REGISTER(rcc + 0x4c) |= 1u << 6;           /* GPIOG */
    REGISTER(rcc + 0x5c) |= 1u << 0;           /* LPUART1 */
    (void)REGISTER(rcc + 0x5c);
    REGISTER(pwr + 4) |= 1u << 9; /* 5.1.4: port G has a supply of its own */
    /* 8.4: PG7 and PG8 to alternate function 8. */
    REGISTER(gpio_g) = (REGISTER(gpio_g) & ~(15u << 14)) | 10u << 14;
    REGISTER(gpio_g + 0x20) = (REGISTER(gpio_g + 0x20) & ~(15u << 28)) | 8u << 28;
    REGISTER(gpio_g + 0x24) = (REGISTER(gpio_g + 0x24) & ~15u) | 8u;
    /* 49.4.4: 256 times the clock over the rate. */
    REGISTER(lpuart + 0x0c) = (uint32_t)((256ull * CLOCK_HZ + BAUD / 2) / BAUD);
    REGISTER(lpuart + 0x08) = 1u << 6 | 1u << 12;
    /* 12.4, table 47: request 34 is LPUART1's receiver; 11.4: channel 1, bytes, circular. */
    REGISTER(dmamux) = 34;
    REGISTER(dma1 + 0x0c) = RECEIVE_RING_BYTES;
    REGISTER(dma1 + 0x10) = lpuart + 0x24;
    REGISTER(dma1 + 0x14) = (uint32_t)(uintptr_t)receive_ring;
    REGISTER(dma1 + 0x08) = 1u << 7 | 1u << 5 | 1;
    REGISTER(lpuart) = 1u << 3 | 1u << 2 | 1;
    cycle_counter_start();
}

static int flash_done(void)
{
    const int failed = stm32_flash_done();
    /* 3.3.4: the caches hold what was there before; they are emptied while off. */
    REGISTER(flash) &= ~(3u << 9);
    REGISTER(flash) |= 3u << 11;
    REGISTER(flash) &= ~(3u << 11);
    REGISTER(flash) |= 3u << 9;
    return failed;
}

/* 3.3.5: two banks of 256 pages. */
int board_erase(uint8_t *unit)
{
    const uint32_t page = ((uint32_t)(uintptr_t)unit - 0x08000000) / (4 * KB);
    board_watchdog_kick();
    stm32_flash_unlock();
    REGISTER(flash + 0x14) = 1u << 1 | (page & 255) << 3 | (page >> 8) << 11;
    REGISTER(flash + 0x14) |= 1u << 16;
    return flash_done();
}

/* 3.3.7: 64 bits at a time. */
int board_program(uint8_t *page, const uint8_t bytes[STORAGE_PAGE_BYTES])
{
    stm32_flash_unlock();
    REGISTER(flash + 0x14) = 1;
    for (uint32_t i = 0; i < STORAGE_PAGE_BYTES; i += 8) {
        uint32_t words[2];
        memcpy(words, bytes + i, 8);
        REGISTER((uintptr_t)page + i) = words[0];
        __asm volatile("isb");
        REGISTER((uintptr_t)page + i + 4) = words[1];
        while (REGISTER(flash + 0x10) & 1u << 16) {
        }
    }
    if (flash_done() != 0) return -1;
    return memcmp(page, bytes, STORAGE_PAGE_BYTES) == 0 ? 0 : -1;
}
