/* nRF52840-DK. Section numbers are those of product specification 1.7. UARTE0 on P0.06 and P0.08 is the debugger's serial
   port. Compiled, never yet run on the board. */
#include "../board.h"

#include <string.h>

#include "../common/cortex.h"
#include "../common/dwt-board.h"
#include "../common/receive-ring.h"

/* A byte of ten bits at 115,200 baud takes 87 us. */
enum { CLOCK_HZ = 64000000, KB = 1024, BYTE_US = 88 };

static const uint32_t clock = 0x40000000, power = 0x40000000, uarte = 0x40002000, timer1 = 0x40009000,
                      timer2 = 0x4000a000, ppi = 0x4001f000, nvmc = 0x4001e000, wdt = 0x40010000, gpio0 = 0x50000000,
                      ficr = 0x10000000;

const board_facts board = {
    .name = "nrf52840-dk",
    .core_hz = CLOCK_HZ,
    .ticks_hz = CLOCK_HZ,
    .tick_unit = TICKS_ARE_CYCLES,
    .is_flash = 1,
    .window_bytes = 4096,
    .flash_window_bytes = 4096,
    .slot = {(uint8_t *)(384 * KB), (uint8_t *)(704 * KB)},
    .slot_bytes = 320 * KB,
    .pool = (uint8_t *)(128 * KB),
    .pool_bytes = 256 * KB,
    .erase_bytes = 4 * KB,
    .firmware_bytes = 128 * KB,
};

static uint8_t sending[1];

void board_start(void)
{
    /* 5.4.4.1: the crystal, so that the baud rate holds. */
    REGISTER(clock + 0x000) = 1;
    while (!REGISTER(clock + 0x100)) {
    }
    REGISTER(nvmc + 0x540) = 1; /* 4.3.6: instruction cache on */
    REGISTER(gpio0 + 0x508) = 1u << 6;
    REGISTER(gpio0 + 0x518) = 1u << 6;
    REGISTER(gpio0 + 0x700 + 4 * 6) = 1;
    REGISTER(gpio0 + 0x700 + 4 * 8) = 0;
    /* 6.34: the receiver starts over at the ring's start each time it has come to its end. */
    REGISTER(uarte + 0x50c) = 6;
    REGISTER(uarte + 0x514) = 8;
    REGISTER(uarte + 0x524) = 0x01d60000; /* 115,200 baud */
    REGISTER(uarte + 0x200) = 1u << 5;    /* ENDRX starts RX */
    REGISTER(uarte + 0x500) = 8;
    REGISTER(uarte + 0x534) = (uint32_t)(uintptr_t)receive_ring;
    REGISTER(uarte + 0x538) = RECEIVE_RING_BYTES;
    /* 6.16, 6.30: timer 1 counts the bytes, since the receiver tells its position only at the end; timer 2 starts anew with
       each, at 1 MHz and 32 bits. */
    REGISTER(timer1 + 0x504) = 1;
    REGISTER(timer1 + 0x508) = 3;
    REGISTER(timer1 + 0x00c) = 1;
    REGISTER(timer1 + 0x000) = 1;
    REGISTER(timer2 + 0x504) = 0;
    REGISTER(timer2 + 0x508) = 3;
    REGISTER(timer2 + 0x510) = 4;
    REGISTER(timer2 + 0x00c) = 1;
    REGISTER(timer2 + 0x000) = 1;
    REGISTER(ppi + 0x510) = uarte + 0x108;
    REGISTER(ppi + 0x514) = timer1 + 0x008;
    REGISTER(ppi + 0x910) = timer2 + 0x00c;
    REGISTER(ppi + 0x504) = 1;
    REGISTER(uarte + 0x000) = 1;
    cycle_counter_start();
}

/* Its 32 MHz crystal: 40 millionths at most, with ageing and temperature. */
uint32_t board_clock_ppm(void) { return 100; }

uint8_t board_reset_reason(void)
{
    const uint32_t reason = REGISTER(power + 0x400);
    REGISTER(power + 0x400) = reason;
    if (reason & 1u << 1) return RESET_WATCHDOG;
    return reason & 1u << 2 ? RESET_ASKED : RESET_POWER;
}

/* 4.4.1: 64 bits. */
void board_chip_id(uint8_t id[16])
{
    memset(id, 0, 16);
    memcpy(id, (const void *)(uintptr_t)(ficr + 0x60), 8);
}

/* 6.34.2: RXDRDY comes before EasyDMA has written the byte. A byte is taken once the next one was received, or once as long
   has passed as the next one would take: a byte that still waited then would be an overrun. The count is read first: one
   that comes in between makes the time short, never the count too high. */
int board_receive(void)
{
    static uint32_t settled;
    REGISTER(timer1 + 0x040) = 1;
    const uint32_t counted = REGISTER(timer1 + 0x540);
    if (counted != settled) {
        REGISTER(timer2 + 0x040) = 1;
        settled = REGISTER(timer2 + 0x540) > BYTE_US ? counted : counted - 1;
    }
    return receive_from_ring(settled);
}

void board_send(uint8_t byte)
{
    sending[0] = byte;
    REGISTER(uarte + 0x120) = 0;
    REGISTER(uarte + 0x544) = (uint32_t)(uintptr_t)sending;
    REGISTER(uarte + 0x548) = 1;
    REGISTER(uarte + 0x008) = 1;
    while (!REGISTER(uarte + 0x120)) {
    }
}

void board_flush(void) {}

/* 6.36: 32,768 Hz, 4 s. */
void watchdog_begin(void)
{
    REGISTER(wdt + 0x504) = 4 * 32768;
    REGISTER(wdt + 0x508) = 1;
    REGISTER(wdt + 0x000) = 1;
}

void board_watchdog_kick(void) { REGISTER(wdt + 0x600) = 0x6e524635; }

static void nvmc_mode(uint32_t mode)
{
    REGISTER(nvmc + 0x504) = mode;
    while (!REGISTER(nvmc + 0x400)) {
    }
}

int board_erase(uint8_t *unit)
{
    board_watchdog_kick();
    nvmc_mode(2);
    REGISTER(nvmc + 0x508) = (uint32_t)(uintptr_t)unit;
    while (!REGISTER(nvmc + 0x400)) {
    }
    nvmc_mode(0);
    return 0;
}

int board_program(uint8_t *page, const uint8_t bytes[STORAGE_PAGE_BYTES])
{
    nvmc_mode(1);
    for (uint32_t i = 0; i < STORAGE_PAGE_BYTES; i += 4) {
        uint32_t word;
        memcpy(&word, bytes + i, 4);
        REGISTER((uintptr_t)page + i) = word;
        while (!REGISTER(nvmc + 0x400)) {
        }
    }
    nvmc_mode(0);
    return memcmp(page, bytes, STORAGE_PAGE_BYTES) == 0 ? 0 : -1;
}
