/* NUCLEO-F446RE. Section numbers are those of reference manual RM0390. USART2 on PA2 and PA3 is the ST-LINK's serial port.
   Compiled, never yet run on the board; its line runs in QEMU as that of netduinoplus2. */
#include "../board.h"

#include "../common/cortex.h"
#include "../common/receive-ring.h"
#include "../common/stm32.h"

enum { CLOCK_HZ = 180000000, BAUD = 115200, KB = 1024 };
/* The ST-LINK's crystal; the internal oscillator over 0 to 85 degrees (data sheet DS10693, HSI characteristics). */
enum { EXTERNAL_PPM = 100, INTERNAL_PPM = 40000 };

static const uint32_t rcc = 0x40023800, pwr = 0x40007000, flash = 0x40023c00, gpio_a = 0x40020000, usart = 0x40004400,
                      dma1_stream5 = 0x40026000 + 0x10 + 0x18 * 5;

/* 33.1: the chip's id. */
const stm32_map stm32 = {
    STM32_UART_OLD(usart),
    .ring_left = dma1_stream5 + 4,
    .chip_id = 0x1fff7a10,
    .reset_flags = rcc + 0x74,
    .clear_reset_flags = 1u << 24,
    .flash_keys = flash + 4,
    .flash_status = flash + 0x0c,
    .flash_control = flash + 0x10,
    .flash_errors = 0x1f2,
};

const board_facts board = {
    .name = "nucleo-f446re",
    .core_hz = CLOCK_HZ,
    .ticks_hz = CLOCK_HZ,
    .tick_unit = TICKS_ARE_CYCLES,
    .is_flash = 1,
    .window_bytes = 4096,
    .flash_window_bytes = 4096,
    .slot = {(uint8_t *)0x08040000, (uint8_t *)0x08060000},
    .slot_bytes = 128 * KB,
    .pool = (uint8_t *)0x08020000,
    .pool_bytes = 128 * KB,
    .erase_bytes = 128 * KB,
    .firmware_bytes = 128 * KB,
};

static uint32_t clock_ppm = INTERNAL_PPM;

uint32_t board_clock_ppm(void) { return clock_ppm; }

/* 6.2.1: the ST-LINK gives 8 MHz, which takes the place of a crystal. Boards whose bridge is open have the internal 16 MHz. */
static uint32_t start_reference(void)
{
    REGISTER(rcc) |= 1u << 18;
    REGISTER(rcc) |= 1u << 16;
    for (uint32_t looks = 0; !(REGISTER(rcc) & 1u << 17); looks++) {
        if (looks < 1000000) continue;
        REGISTER(rcc) &= ~(1u << 16);
        return 8;
    }
    clock_ppm = EXTERNAL_PPM;
    return 4 | 1u << 22;
}

static void start_clocks(void)
{
    /* 5.1.4: over-drive for 180 MHz; 6.3.2: 2 MHz x 180 / 2; 3.4.1: 5 wait states, prefetch and both caches. */
    REGISTER(rcc + 0x40) |= 1u << 28;
    (void)REGISTER(rcc + 0x40);
    REGISTER(pwr) |= 3u << 14;
    REGISTER(rcc + 0x04) = start_reference() | 180u << 6 | 0u << 16 | 8u << 24 | 2u << 28;
    REGISTER(rcc) |= 1u << 24;
    REGISTER(pwr) |= 1u << 16;
    while (!(REGISTER(pwr + 4) & 1u << 16)) {
    }
    REGISTER(pwr) |= 1u << 17;
    while (!(REGISTER(pwr + 4) & 1u << 17)) {
    }
    while (!(REGISTER(rcc) & 1u << 25)) {
    }
    REGISTER(flash) = 5 | 1u << 8 | 1u << 9 | 1u << 10;
    while ((REGISTER(flash) & 15) != 5) {
    }
    REGISTER(rcc + 0x08) = 5u << 10 | 4u << 13; /* APB1 / 4, APB2 / 2 */
    REGISTER(rcc + 0x08) |= 2;
    while ((REGISTER(rcc + 0x08) & 0xc) != 8) {
    }
}

void board_start(void)
{
    start_clocks();
    REGISTER(rcc + 0x30) |= 1u << 0 | 1u << 21; /* GPIOA, DMA1 */
    REGISTER(rcc + 0x40) |= 1u << 17;           /* USART2 */
    (void)REGISTER(rcc + 0x40);
    /* 7.4: PA2 and PA3 to alternate function 7. */
    REGISTER(gpio_a) = (REGISTER(gpio_a) & ~(15u << 4)) | 10u << 4;
    REGISTER(gpio_a + 0x20) = (REGISTER(gpio_a + 0x20) & ~(255u << 8)) | 0x77u << 8;
    /* 25.6: clocked by APB1; receive by DMA. */
    REGISTER(usart + 0x08) = (CLOCK_HZ / 4 + BAUD / 2) / BAUD;
    REGISTER(usart + 0x14) = 1u << 6;
    /* 9.3.3, table 28: stream 5, channel 4; bytes, circular, into the ring. */
    REGISTER(dma1_stream5 + 8) = usart + 0x04;
    REGISTER(dma1_stream5 + 12) = (uint32_t)(uintptr_t)receive_ring;
    REGISTER(dma1_stream5 + 4) = RECEIVE_RING_BYTES;
    REGISTER(dma1_stream5) = 4u << 25 | 1u << 10 | 1u << 8 | 1;
    REGISTER(usart + 0x0c) = 1u << 13 | 1u << 3 | 1u << 2;
    cycle_counter_start();
}

uint32_t stm32_sector(const uint8_t *unit) { return 5 + ((uint32_t)(uintptr_t)unit - 0x08020000) / (128 * KB); }

/* 3.4.2: both caches are emptied while off. */
void stm32_forget_flash(void)
{
    REGISTER(flash) &= ~(3u << 9);
    REGISTER(flash) |= 3u << 11;
    REGISTER(flash) &= ~(3u << 11);
    REGISTER(flash) |= 3u << 9;
}
