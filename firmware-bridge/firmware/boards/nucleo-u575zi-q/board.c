/* NUCLEO-U575ZI-Q. Section numbers are those of reference manual RM0456. USART1 on PA9 and PA10 is the ST-LINK's serial port.
   TrustZone is off, as chips are delivered. Compiled, never yet run on the board. */
#include "../board.h"

#include <string.h>

#include "../common/cortex.h"
#include "../common/receive-ring.h"
#include "../common/stm32.h"

/* MSI locked to the 32,768 Hz crystal is 122 times as fast (data sheet DS13737, MSI characteristics in PLL mode: 3.998 MHz). */
enum { MSI_HZ = 122 * 32768, CLOCK_HZ = MSI_HZ / 2 * 80, BAUD = 115200, KB = 1024 };
/* Locked it is within 0.25 % (AN4736); alone within 1 % at 30 degrees, and 3.5 % more over 0 to 85. */
enum { LOCKED_PPM = 2500, FREE_PPM = 45000 };

static const uint32_t rcc = 0x46020c00, pwr = 0x46020800, flash = 0x40022000, icache = 0x40030400, gpio_a = 0x42020000,
                      usart = 0x40013800, dma_channel0 = 0x40020050;

/* 75.1: the chip's id. */
const stm32_map stm32 = {
    STM32_UART_NEW(usart),
    .ring_left = dma_channel0 + 0x48,
    .chip_id = 0x0bfa0700,
    .reset_flags = rcc + 0xf4,
    .clear_reset_flags = 1u << 23,
    .flash_keys = flash + 0x08,
    .flash_status = flash + 0x20,
    .flash_control = flash + 0x28,
    .flash_errors = 0x20fa,
};

const board_facts board = {
    .name = "nucleo-u575zi-q",
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
    .erase_bytes = 8 * KB,
    .firmware_bytes = 128 * KB,
};

static uint32_t clock_ppm = FREE_PPM;

uint32_t board_clock_ppm(void) { return clock_ppm; }

/* 11.4.4, 11.4.6: locks MSIS to the low-speed crystal, which takes up to 2 s to start. Without it the clock runs free, and says
   so. Still at 4 MHz here: a look takes about 10 cycles. */
static void lock_clock_to_crystal(void)
{
    REGISTER(pwr + 0x28) = 1; /* 10.10.11: access to the backup domain */
    while (!(REGISTER(pwr + 0x28) & 1)) {
    }
    REGISTER(rcc + 0xf0) |= 1;
    for (uint32_t looks = 0; !(REGISTER(rcc + 0xf0) & 2); looks++) {
        if (looks == 2000000) return;
    }
    REGISTER(rcc + 0xf0) |= 1u << 7; /* handed on to the rest of the chip */
    while (!(REGISTER(rcc + 0xf0) & 1u << 11)) {
    }
    REGISTER(rcc) |= 1u << 6; /* MSIS, not MSIK */
    REGISTER(rcc) |= 1u << 3;
    for (volatile uint32_t i = 0; i < 10000; i++) {
    }
    clock_ppm = LOCKED_PPM;
}

static void start_clocks(void)
{
    REGISTER(rcc + 0x94) |= 1u << 2; /* PWR */
    (void)REGISTER(rcc + 0x94);
    lock_clock_to_crystal();
    /* 11.8.9: MSIS undivided into PLL1, the booster's divider 1, output R on; 11.8.12: x 80 / 2. */
    REGISTER(rcc + 0x28) = 1 | 1u << 18;
    REGISTER(rcc + 0x34) = 79 | 1u << 9 | 1u << 16 | 1u << 24;
    /* 10.5.4: range 1, then the booster, which beyond 55 MHz must be ready. */
    REGISTER(pwr + 0x0c) |= 3u << 16;
    while (!(REGISTER(pwr + 0x0c) & 1u << 15)) {
    }
    REGISTER(pwr + 0x0c) |= 1u << 18;
    while (!(REGISTER(pwr + 0x0c) & 1u << 14)) {
    }
    /* 7.3.3: 4 wait states and prefetch. */
    REGISTER(flash) = 4 | 1u << 8;
    while ((REGISTER(flash) & 15) != 4) {
    }
    REGISTER(rcc) |= 1u << 24;
    while (!(REGISTER(rcc) & 1u << 25)) {
    }
    REGISTER(rcc + 0x1c) |= 3;
    while ((REGISTER(rcc + 0x1c) & 0xc) != 0xc) {
    }
    REGISTER(icache) |= 1;
}

/* 17.4.6: a block of the ring and, linked to it, the same block again: its size, its address and this link. The words lie in
   the order of the update bits; the link names the lower half of their address. */
static uint32_t link_item[3] __attribute__((aligned(32)));

static void start_receiver(void)
{
    enum { UPDATE_SIZE = 1 << 29, UPDATE_DESTINATION = 1 << 27, UPDATE_LINK = 1 << 16, USART1_RECEIVE = 24 };
    const uint32_t item = (uint32_t)(uintptr_t)link_item;
    const uint32_t link = UPDATE_SIZE | UPDATE_DESTINATION | UPDATE_LINK | (item & 0xfffc);
    link_item[0] = RECEIVE_RING_BYTES;
    link_item[1] = (uint32_t)(uintptr_t)receive_ring;
    link_item[2] = link;
    __asm volatile("dsb");
    REGISTER(dma_channel0) = item & 0xffff0000;
    REGISTER(dma_channel0 + 0x40) = 1u << 19; /* bytes; the destination moves on */
    REGISTER(dma_channel0 + 0x44) = USART1_RECEIVE;
    REGISTER(dma_channel0 + 0x48) = RECEIVE_RING_BYTES;
    REGISTER(dma_channel0 + 0x4c) = usart + 0x24;
    REGISTER(dma_channel0 + 0x50) = (uint32_t)(uintptr_t)receive_ring;
    REGISTER(dma_channel0 + 0x7c) = link;
    REGISTER(dma_channel0 + 0x14) = 1;
}

void board_start(void)
{
    start_clocks();
    REGISTER(rcc + 0x88) |= 1u << 0;  /* GPDMA1 */
    REGISTER(rcc + 0x8c) |= 1u << 0;  /* GPIOA */
    REGISTER(rcc + 0xa4) |= 1u << 14; /* USART1 */
    (void)REGISTER(rcc + 0xa4);
    /* 13.4: PA9 and PA10 to alternate function 7. */
    REGISTER(gpio_a) = (REGISTER(gpio_a) & ~(15u << 18)) | 10u << 18;
    REGISTER(gpio_a + 0x24) = (REGISTER(gpio_a + 0x24) & ~(255u << 4)) | 0x77u << 4;
    /* 66.8: clocked by APB2; receive by DMA, and an overrun does not stop it. */
    REGISTER(usart + 0x0c) = (CLOCK_HZ + BAUD / 2) / BAUD;
    REGISTER(usart + 0x08) = 1u << 6 | 1u << 12;
    start_receiver();
    REGISTER(usart) = 1u << 3 | 1u << 2 | 1;
    cycle_counter_start();
}

static int flash_done(void)
{
    const int failed = stm32_flash_done();
    /* 8.4.8: the instruction cache, which data of the flash go through as well, holds what was there before. */
    REGISTER(icache + 0x0c) = 1u << 1;
    REGISTER(icache) |= 1u << 1;
    while (!(REGISTER(icache + 4) & 1u << 1)) {
    }
    return failed;
}

/* 7.3.6: two banks of 128 pages. */
int board_erase(uint8_t *unit)
{
    const uint32_t page = ((uint32_t)(uintptr_t)unit - 0x08000000) / (8 * KB);
    board_watchdog_kick();
    stm32_flash_unlock();
    REGISTER(flash + 0x28) = 1u << 1 | (page & 127) << 3 | (page >> 7) << 11;
    REGISTER(flash + 0x28) |= 1u << 16;
    return flash_done();
}

/* 7.3.7: 128 bits at a time. */
int board_program(uint8_t *page, const uint8_t bytes[STORAGE_PAGE_BYTES])
{
    stm32_flash_unlock();
    REGISTER(flash + 0x28) = 1;
    for (uint32_t i = 0; i < STORAGE_PAGE_BYTES; i += 16) {
        uint32_t words[4];
        memcpy(words, bytes + i, 16);
        for (uint32_t w = 0; w < 4; w++) REGISTER((uintptr_t)page + i + 4 * w) = words[w];
        __asm volatile("dsb");
        while (REGISTER(flash + 0x20) & 3u << 16) {
        }
    }
    if (flash_done() != 0) return -1;
    return memcmp(page, bytes, STORAGE_PAGE_BYTES) == 0 ? 0 : -1;
}
