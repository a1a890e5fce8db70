/* Raspberry Pi Pico 2. Section numbers are those of the RP2350 data sheet. Line 0 is UART0 on GPIO 0 and 1, line 1
   its own USB. Compiled, never yet run on
   the board. */
#include "../board.h"

#include <string.h>

#include "../common/cortex.h"
#include "../common/pl011.h"
#include "../common/rp-usb.h"
#include "rom.h"

/* Writes through these aliases set or clear bits without reading (2.1.3). */
#define SET(address) REGISTER((address) + 0x2000)
#define CLEAR(address) REGISTER((address) + 0x3000)

enum { CLOCK_HZ = 150000000, BAUD = 115200, UART0_IRQ = 33, USB_IRQ = 14, LINE_USB = 1, FLASH = 0x10000000, KB = 1024 };

static const uint32_t resets = 0x40020000, clocks = 0x40010000, xosc = 0x40048000, pll = 0x40050000, usb_pll = 0x40058000, psm = 0x40018000,
                      io_bank0 = 0x40028000, pads_bank0 = 0x40038000, uart = 0x40070000, ticks = 0x40108000,
                      watchdog = 0x400d8000;

const board_facts board = {
    .name = "rp2350-pico2",
    .core_hz = CLOCK_HZ,
    .ticks_hz = CLOCK_HZ,
    .tick_unit = TICKS_ARE_CYCLES,
    .is_flash = 1,
    .window_bytes = 8192,
    .flash_window_bytes = 1024,
    .slot = {(uint8_t *)FLASH + 512 * KB, (uint8_t *)FLASH + 2304 * KB},
    .slot_bytes = 1792 * KB,
    .pool = (uint8_t *)FLASH + 128 * KB,
    .pool_bytes = 384 * KB,
    .erase_bytes = 4096,
    .firmware_bytes = 128 * KB,
    .enter_loader = rom_enter_loader,
};

/* Of the maker's list of product ids (github.com/raspberrypi/usb-pid): serial ports of its chips share 0x0009. */
const rp_usb_map rp_usb = {
    .identity = {0x2e8a, 0x0009, "hilda", "Raspberry Pi Pico 2 (hilda)"},
    .micros = 0x400b0028, /* 12.8: TIMER0's TIMERAWL */
};

static uint8_t line;

void board_use_line(uint8_t to) { line = to; }

/* 5.9.5: what makes the boot ROM start the image: a block that is the only one, of an executable for secure Arm code on this
   chip. It follows the vectors of start.c, which is linked first. */
__attribute__((section(".vectors"), used)) const uint32_t image_definition[] = {
    0xffffded3, 0x10210142, 0x000001ff, 0x00000000, 0xab123579,
};

static void start_clocks(void)
{
    enum { PLL_SYS = 1 << 14, PLL_USB = 1 << 15, TIMER0 = 1 << 23, UART0 = 1 << 26, IO_BANK0 = 1 << 6, PADS_BANK0 = 1 << 9 };
    /* 8.2: crystal, 47 x 256 cycles of start-up are about 1 ms at 12 MHz. */
    REGISTER(xosc + 0x0c) = 47;
    REGISTER(xosc) = 0xfabaa0;
    while (!(REGISTER(xosc + 4) & 1u << 31)) {
    }
    /* 8.1: the system clock runs on the reference while its PLL starts. */
    CLEAR(clocks + 0x3c) = 1;
    while (!(REGISTER(clocks + 0x44) & 1)) {
    }
    const uint32_t bits = PLL_SYS | PLL_USB | TIMER0 | UART0 | IO_BANK0 | PADS_BANK0;
    SET(resets) = PLL_SYS | PLL_USB | UART0;
    CLEAR(resets) = bits;
    while ((REGISTER(resets + 8) & bits) != bits) {
    }
    /* 8.6: 12 MHz x 125 = 1500 MHz, divided by 5 and 2. */
    REGISTER(pll) = 1;
    REGISTER(pll + 8) = 125;
    CLEAR(pll + 4) = 1u << 0 | 1u << 5;
    while (!(REGISTER(pll) & 1u << 31)) {
    }
    REGISTER(pll + 0x0c) = 5u << 16 | 2u << 12;
    CLEAR(pll + 4) = 1u << 3;
    REGISTER(clocks + 0x30) = 2;
    while (!(REGISTER(clocks + 0x38) & 1u << 2)) {
    }
    REGISTER(clocks + 0x3c) = 0;
    SET(clocks + 0x3c) = 1;
    while (!(REGISTER(clocks + 0x44) & 1u << 1)) {
    }
    REGISTER(clocks + 0x48) = 1u << 11;
    /* 8.5: a tick a microsecond for the watchdog and the first timer. */
    REGISTER(ticks + 0x34) = 12;
    REGISTER(ticks + 0x30) = 1;
    REGISTER(ticks + 0x1c) = 12;
    REGISTER(ticks + 0x18) = 1;
}

/* 8.6: 12 MHz x 100 = 1200 MHz, divided by 5 twice, on a PLL of its own: the core's clock is another. */
static void start_usb(void)
{
    const uint32_t bit = 1u << 28;
    REGISTER(usb_pll) = 1;
    REGISTER(usb_pll + 8) = 100;
    CLEAR(usb_pll + 4) = 1u << 0 | 1u << 5;
    while (!(REGISTER(usb_pll) & 1u << 31)) {
    }
    REGISTER(usb_pll + 0x0c) = 5u << 16 | 5u << 12;
    CLEAR(usb_pll + 4) = 1u << 3;
    /* 8.1: CLK_USB comes from this PLL, undivided. */
    REGISTER(clocks + 0x64) = 1u << 16;
    REGISTER(clocks + 0x60) = 1u << 11;
    SET(resets) = bit;
    CLEAR(resets) = bit;
    while (!(REGISTER(resets + 8) & bit)) {
    }
    rp_usb_start();
}

void board_start(void)
{
    /* Armv8-M: whatever limit the boot ROM had for its own stack is none for this one. */
    __asm volatile("msr msplim, %0" ::"r"(0));
    flash_start();
    start_clocks();
    /* 9.11: UART0 is function 2; pads come up isolated, the receiver's without input. */
    REGISTER(io_bank0 + 0x04) = 2;
    REGISTER(io_bank0 + 0x0c) = 2;
    REGISTER(pads_bank0 + 0x04) = 1u << 6 | 1u << 4 | 1u << 1;
    REGISTER(pads_bank0 + 0x08) = 1u << 6 | 1u << 4 | 1u << 3 | 1u << 1;
    pl011_start(uart, CLOCK_HZ, BAUD);
    start_usb();
    NVIC_ISER(UART0_IRQ / 32) = 1u << UART0_IRQ % 32;
    NVIC_ISER(USB_IRQ / 32) = 1u << USB_IRQ % 32;
    cycle_counter_start();
}

/* Its 12 MHz crystal: 30 millionths, with ageing and temperature. */
uint32_t board_clock_ppm(void) { return 100; }

uint8_t board_reset_reason(void)
{
    const uint32_t reason = REGISTER(watchdog + 8);
    if (reason & 1) return RESET_WATCHDOG;
    return reason & 2 ? RESET_ASKED : RESET_POWER;
}

/* 5.4.8.17: of the chip information, the device's number is the second and third word behind the flags that hold. */
void board_chip_id(uint8_t id[16])
{
    uint32_t words[4] = {0};
    memset(id, 0, 16);
    const int found = rom_system_info(words, 4, 1);
    if (found >= 4 && words[0] == 1) memcpy(id, words + 2, 8);
}

int board_receive(void) { return line == LINE_USB ? rp_usb_receive() : pl011_receive(uart); }

void board_send(uint8_t byte)
{
    if (line == LINE_USB) rp_usb_send(byte);
    else pl011_send(uart, byte);
}

void board_flush(void)
{
    pl011_flush(uart);
    rp_usb_flush();
}

void board_wait(void)
{
    if (pl011_is_empty(uart)) sleep_until_pending();
    NVIC_ICPR(UART0_IRQ / 32) = 1u << UART0_IRQ % 32;
    NVIC_ICPR(USB_IRQ / 32) = 1u << USB_IRQ % 32;
}

void board_ticks_start(void) { DWT_CYCCNT = 0; }
uint32_t board_ticks(void) { return DWT_CYCCNT; }
void board_ticks_stop(void) {}

/* 12.9: the counter falls one a microsecond. */
void board_watchdog_kick(void) { REGISTER(watchdog + 4) = 4000000; }

/* 7.4: everything but the oscillators restarts. */
static void choose_what_restarts(void) { REGISTER(psm + 8) = 0x01fffff3; }

void board_watchdog_start(void)
{
    board_watchdog_kick();
    choose_what_restarts();
    SET(watchdog) = 1u << 30;
}

void board_watchdog_stop(void) { CLEAR(watchdog) = 1u << 30; }

void board_restart(void)
{
    choose_what_restarts();
    SET(watchdog) = 1u << 31;
    for (;;) __asm volatile("nop");
}

int board_erase(uint8_t *unit)
{
    flash_write((uint32_t)(uintptr_t)unit - FLASH, 0);
    return 0;
}

int board_program(uint8_t *page, const uint8_t bytes[STORAGE_PAGE_BYTES])
{
    flash_write((uint32_t)(uintptr_t)page - FLASH, bytes);
    return memcmp(page, bytes, STORAGE_PAGE_BYTES) == 0 ? 0 : -1;
}
