/* Raspberry Pi Pico. Section numbers are those of the RP2040 data sheet. Line 0 is UART0 on GPIO 0 and 1, line 1 its own USB. */
#include "../board.h"

#include <string.h>

#include "../common/cortex.h"
#include "../common/pl011.h"
#include "../common/rp-usb.h"
#include "../common/systick.h"

/* Writes through these aliases set or clear bits without reading (2.1.2). */
#define SET(address) REGISTER((address) + 0x2000)
#define CLEAR(address) REGISTER((address) + 0x3000)

enum { CLOCK_HZ = 125000000, BAUD = 115200, UART0_IRQ = 20, USB_IRQ = 5, LINE_UART = 0, LINE_USB = 1 };

static const uint32_t resets = 0x4000c000, clocks = 0x40008000, xosc = 0x40024000, pll = 0x40028000, usb_pll = 0x4002c000,
                      io_bank0 = 0x40014000, pads_bank0 = 0x4001c000, uart = 0x40034000, watchdog = 0x40058000;

enum { FLASH = 0x10000000, KB = 1024 };

static void enter_loader(void);

const board_facts board = {
    .name = "rp2040-pico",
    .core_hz = CLOCK_HZ,
    .ticks_hz = CLOCK_HZ,
    .tick_unit = TICKS_ARE_CYCLES,
    .is_flash = 1,
    .window_bytes = 8192,
    .flash_window_bytes = 1024,
    .slot = {(uint8_t *)FLASH + 512 * KB, (uint8_t *)FLASH + 1280 * KB},
    .slot_bytes = 768 * KB,
    .pool = (uint8_t *)FLASH + 128 * KB,
    .pool_bytes = 384 * KB,
    .erase_bytes = 4096,
    .firmware_bytes = 128 * KB,
    .enter_loader = enter_loader,
};

/* Of the maker's list of product ids (github.com/raspberrypi/usb-pid): serial ports of the RP2040 share 0x000a. */
const rp_usb_map rp_usb = {
    .identity = {0x2e8a, 0x000a, "hilda", "Raspberry Pi Pico (hilda)"},
    .micros = 0x40054028, /* 4.6: TIMERAWL */
};

static uint8_t line;

void board_use_line(uint8_t to) { line = to; }

static void start_clocks(void)
{
    /* 2.16: crystal, 47 x 256 cycles of start-up are about 1 ms at 12 MHz. */
    REGISTER(xosc + 0x0c) = 47;
    REGISTER(xosc) = 0xfabaa0;
    while (!(REGISTER(xosc + 4) & 1u << 31)) {
    }
    /* 2.18: 12 MHz x 125 = 1500 MHz, divided by 6 and 2. */
    enum { PLL_SYS = 1 << 12, PLL_USB = 1 << 13, TIMER = 1 << 21, UART0 = 1 << 22, IO_BANK0 = 1 << 5, PADS_BANK0 = 1 << 8 };
    const uint32_t bits = PLL_SYS | PLL_USB | TIMER | UART0 | IO_BANK0 | PADS_BANK0;
    SET(resets) = PLL_SYS | PLL_USB | UART0;
    CLEAR(resets) = bits;
    while ((REGISTER(resets + 8) & bits) != bits) {
    }
    REGISTER(pll) = 1;
    REGISTER(pll + 8) = 125;
    CLEAR(pll + 4) = 1u << 0 | 1u << 5;
    while (!(REGISTER(pll) & 1u << 31)) {
    }
    REGISTER(pll + 0x0c) = 6u << 16 | 2u << 12;
    CLEAR(pll + 4) = 1u << 3;
    /* 2.15: reference from the crystal, system from the PLL, peripherals from the system clock. */
    REGISTER(clocks + 0x30) = 2;
    while (!(REGISTER(clocks + 0x38) & 1u << 2)) {
    }
    REGISTER(clocks + 0x3c) = 0;
    SET(clocks + 0x3c) = 1;
    while (!(REGISTER(clocks + 0x44) & 1u << 1)) {
    }
    REGISTER(clocks + 0x48) = 1u << 11;
    /* 4.7.2: a tick a microsecond for the watchdog and the timer. */
    REGISTER(watchdog + 0x2c) = 12 | 1u << 9;
}

/* 2.18: 12 MHz x 100 = 1200 MHz, divided by 5 twice, on a PLL of its own: the core's clock is another. */
static void start_usb(void)
{
    const uint32_t bit = 1u << 24;
    REGISTER(usb_pll) = 1;
    REGISTER(usb_pll + 8) = 100;
    CLEAR(usb_pll + 4) = 1u << 0 | 1u << 5;
    while (!(REGISTER(usb_pll) & 1u << 31)) {
    }
    REGISTER(usb_pll + 0x0c) = 5u << 16 | 5u << 12;
    CLEAR(usb_pll + 4) = 1u << 3;
    REGISTER(clocks + 0x58) = 1u << 8;
    REGISTER(clocks + 0x54) = 1u << 11;
    SET(resets) = bit;
    CLEAR(resets) = bit;
    while (!(REGISTER(resets + 8) & bit)) {
    }
    /* Asked for now, since it takes the flash out of use: a host may ask for it in the middle of a run. */
    uint8_t id[16];
    board_chip_id(id);
    rp_usb_start();
}

void board_start(void)
{
    start_clocks();
    REGISTER(io_bank0 + 0x04) = 2;
    REGISTER(io_bank0 + 0x0c) = 2;
    /* 2.19.6.3: the receiver's pin is pulled up, so that nothing comes where nothing is wired. */
    REGISTER(pads_bank0 + 0x08) = 1u << 6 | 1u << 4 | 1u << 3 | 1u << 1;
    pl011_start(uart, CLOCK_HZ, BAUD);
    start_usb();
    NVIC_ISER(0) = 1u << UART0_IRQ | 1u << USB_IRQ;
}

/* Its 12 MHz crystal: 30 millionths, with ageing and temperature. */
uint32_t board_clock_ppm(void) { return 100; }

uint8_t board_reset_reason(void)
{
    const uint32_t reason = REGISTER(watchdog + 8);
    if (reason & 1) return RESET_WATCHDOG;
    return reason & 2 ? RESET_ASKED : RESET_POWER;
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
    NVIC_ICPR(0) = 1u << UART0_IRQ | 1u << USB_IRQ;
}

void board_ticks_start(void) { systick_start(); }
uint32_t board_ticks(void) { return (uint32_t)systick_count(); }
void board_ticks_stop(void) { systick_stop(); }

/* 4.7.6 and erratum E1: the counter falls two a microsecond. */
void board_watchdog_kick(void) { REGISTER(watchdog + 4) = 8000000; }

void board_watchdog_start(void)
{
    board_watchdog_kick();
    /* Everything but the oscillators restarts (2.13.5, PSM_WDSEL). */
    REGISTER(0x40010008) = 0x0001fffc;
    SET(watchdog) = 1u << 30;
}

void board_watchdog_stop(void) { CLEAR(watchdog) = 1u << 30; }

void board_restart(void)
{
    REGISTER(0x40010008) = 0x0001fffc;
    SET(watchdog) = 1u << 31;
    for (;;) __asm volatile("nop");
}

/* The flash cannot be read while it is written: this runs from RAM, with the boot ROM's routines (2.8.3.1.3) and the
   second boot stage, which sets up execute in place again, copied there as well. */
typedef void (*rom_function)(void);
typedef struct {
    rom_function connect, exit_xip, flush_cache;
    void (*erase)(uint32_t offset, uint32_t bytes, uint32_t block, uint8_t command);
    void (*program)(uint32_t offset, const uint8_t *bytes, uint32_t count);
    void (*enter_xip)(void);
} flash_routines;

static uint32_t boot_copy[63];
static flash_routines rom;

static uintptr_t rom_lookup(char first, char second)
{
    typedef uintptr_t (*lookup)(const uint16_t *table, uint32_t code);
    uintptr_t at = 0x14;
    __asm("" : "+r"(at)); /* the compiler takes a constant that small for a broken null pointer */
    const volatile uint16_t *pointers = (const volatile uint16_t *)at;
    const lookup find = (lookup)(uintptr_t)pointers[2];
    return find((const uint16_t *)(uintptr_t)pointers[0], (uint32_t)second << 8 | (uint8_t)first);
}

static void find_routines(void)
{
    if (rom.connect) return;
    /* Without `volatile` the compiler turns the loop into a call into flash it may not read from address 0. */
    const volatile uint32_t *boot = (const volatile uint32_t *)FLASH;
    for (uint32_t i = 0; i < 63; i++) boot_copy[i] = boot[i];
    rom.exit_xip = (rom_function)rom_lookup('E', 'X');
    rom.flush_cache = (rom_function)rom_lookup('F', 'C');
    rom.erase = (void (*)(uint32_t, uint32_t, uint32_t, uint8_t))rom_lookup('R', 'E');
    rom.program = (void (*)(uint32_t, const uint8_t *, uint32_t))rom_lookup('R', 'P');
    rom.enter_xip = (void (*)(void))((uintptr_t)boot_copy | 1);
    rom.connect = (rom_function)rom_lookup('I', 'F');
}

__attribute__((section(".in_ram"), noinline)) static void write_flash(uint32_t offset, const uint8_t *bytes)
{
    rom.connect();
    rom.exit_xip();
    if (bytes) rom.program(offset, bytes, STORAGE_PAGE_BYTES);
    else rom.erase(offset, 4096, 65536, 0xd8);
    rom.flush_cache();
    rom.enter_xip();
}

/* 2.8.3.1.4: no activity light, both of its interfaces. The chip restarts, and with it the bus. */
static void enter_loader(void)
{
    typedef void (*reset_to_usb_boot)(uint32_t light, uint32_t without);
    board_watchdog_stop();
    ((reset_to_usb_boot)rom_lookup('U', 'B'))(0, 0);
    for (;;) __asm volatile("nop");
}

int board_erase(uint8_t *unit)
{
    find_routines();
    write_flash((uint32_t)(uintptr_t)unit - FLASH, 0);
    return 0;
}

int board_program(uint8_t *page, const uint8_t bytes[STORAGE_PAGE_BYTES])
{
    find_routines();
    write_flash((uint32_t)(uintptr_t)page - FLASH, bytes);
    return memcmp(page, bytes, STORAGE_PAGE_BYTES) == 0 ? 0 : -1;
}

/* The RP2040 has no serial number of its own: the flash chip's is read by command 0x4b, four bytes that mean nothing and eight
   of the number. Chip select is held by hand, since the SSI would end the command whenever its FIFO runs empty. */
__attribute__((section(".in_ram"), noinline)) static void read_flash_id(uint8_t *id)
{
    enum { READ_ID = 0x4b, LENGTH = 13, RECEIVED = 1 << 3, SELECT_LOW = 2 << 8, SELECT_HIGH = 3 << 8, OVERRIDE = 3 << 8 };
    const uint32_t ssi = 0x18000000, select = 0x4001800c; /* 2.19.6.2: GPIO_QSPI_SS_CTRL */
    rom.connect();
    rom.exit_xip();
    REGISTER(select) = (REGISTER(select) & ~(uint32_t)OVERRIDE) | SELECT_LOW;
    for (uint32_t i = 0; i < LENGTH; i++) {
        REGISTER(ssi + 0x60) = i == 0 ? READ_ID : 0;
        while (!(REGISTER(ssi + 0x28) & RECEIVED)) {
        }
        const uint8_t byte = (uint8_t)REGISTER(ssi + 0x60);
        if (i >= 5) id[i - 5] = byte;
    }
    REGISTER(select) = (REGISTER(select) & ~(uint32_t)OVERRIDE) | SELECT_HIGH;
    rom.flush_cache();
    rom.enter_xip();
}

void board_chip_id(uint8_t id[16])
{
    static uint8_t known[8], asked;
    memset(id, 0, 16);
    if (!asked) {
        find_routines();
        read_flash_id(known);
        asked = 1;
    }
    memcpy(id, known, sizeof known);
}
