/* STM32F746G-DISCO. Section numbers are those of reference manual RM0385. USART1 on PA9 and PB7 is the ST-LINK's serial
   port. Compiled, never yet run on the board. */
#include "../board.h"

#include "../common/cortex.h"
#include "../common/receive-ring.h"
#include "../common/stm32.h"

enum { CLOCK_HZ = 216000000, BAUD = 115200, KB = 1024 };

static const uint32_t rcc = 0x40023800, pwr = 0x40007000, flash = 0x40023c00, gpio_a = 0x40020000, gpio_b = 0x40020400,
                      usart = 0x40011000, dma2 = 0x40026400;

/* 41.1: the chip's id. */
const stm32_map stm32 = {
    STM32_UART_NEW(usart),
    .ring_left = dma2 + 0x10 + 0x18 * 2 + 4,
    .chip_id = 0x1ff0f420,
    .reset_flags = rcc + 0x74,
    .clear_reset_flags = 1u << 24,
    .flash_keys = flash + 4,
    .flash_status = flash + 0x0c,
    .flash_control = flash + 0x10,
    .flash_errors = 0xf2,
};

const board_facts board = {
    .name = "stm32f746g-disco",
    .core_hz = CLOCK_HZ,
    .ticks_hz = CLOCK_HZ,
    .tick_unit = TICKS_ARE_CYCLES,
    .is_flash = 1,
    .window_bytes = 4096,
    .flash_window_bytes = 4096,
    .slot = {(uint8_t *)0x08080000, (uint8_t *)0x080c0000},
    .slot_bytes = 256 * KB,
    .pool = (uint8_t *)0x08040000,
    .pool_bytes = 256 * KB,
    .erase_bytes = 256 * KB,
    .firmware_bytes = 128 * KB,
};

static void start_clocks(void)
{
    /* 4.1.4: over-drive for 216 MHz; 5.3: 25 MHz crystal / 25 x 432 / 2; 3.3.2: 7 wait states at 3.3 V. */
    REGISTER(rcc + 0x40) |= 1u << 28;
    REGISTER(rcc) |= 1u << 16;
    while (!(REGISTER(rcc) & 1u << 17)) {
    }
    REGISTER(pwr) |= 3u << 14;
    REGISTER(rcc + 0x04) = 25 | 432u << 6 | 0u << 16 | 1u << 22 | 9u << 24;
    REGISTER(rcc) |= 1u << 24;
    REGISTER(pwr) |= 1u << 16;
    while (!(REGISTER(pwr + 4) & 1u << 16)) {
    }
    REGISTER(pwr) |= 1u << 17;
    while (!(REGISTER(pwr + 4) & 1u << 17)) {
    }
    while (!(REGISTER(rcc) & 1u << 25)) {
    }
    REGISTER(flash) = 7 | 1u << 8 | 1u << 9;
    REGISTER(rcc + 0x08) = 5u << 10 | 4u << 13; /* APB1 / 4, APB2 / 2 */
    REGISTER(rcc + 0x08) |= 2;
    while ((REGISTER(rcc + 0x08) & 0xc) != 8) {
    }
}

/* PM0253 4.8: every set and way of the 16 KB data cache, by clean and invalidate. */
static void flush_data_cache(void)
{
    __asm volatile("dsb");
    for (uint32_t way = 0; way < 4; way++) {
        for (uint32_t set = 0; set < 128; set++) REGISTER(0xe000ef74) = way << 30 | set << 5;
    }
    __asm volatile("dsb\n isb");
}

static void start_caches(void)
{
    REGISTER(0xe000ef50) = 0; /* instruction cache: invalidate */
    for (uint32_t way = 0; way < 4; way++) {
        for (uint32_t set = 0; set < 128; set++) REGISTER(0xe000ef60) = way << 30 | set << 5;
    }
    __asm volatile("dsb\n isb");
    REGISTER(0xe000ed14) |= 1u << 17 | 1u << 16;
    __asm volatile("dsb\n isb");
}

void board_start(void)
{
    start_clocks();
    start_caches();
    REGISTER(rcc + 0x30) |= 1u << 0 | 1u << 1 | 1u << 22; /* GPIOA, GPIOB, DMA2 */
    REGISTER(rcc + 0x44) |= 1u << 4;                      /* USART1 */
    (void)REGISTER(rcc + 0x44);
    /* 6.4: PA9 and PB7 to alternate function 7. */
    REGISTER(gpio_a) = (REGISTER(gpio_a) & ~(3u << 18)) | 2u << 18;
    REGISTER(gpio_a + 0x24) = (REGISTER(gpio_a + 0x24) & ~(15u << 4)) | 7u << 4;
    REGISTER(gpio_b) = (REGISTER(gpio_b) & ~(3u << 14)) | 2u << 14;
    REGISTER(gpio_b + 0x20) = (REGISTER(gpio_b + 0x20) & ~(15u << 28)) | 7u << 28;
    /* 31.8: clocked by APB2. */
    REGISTER(usart + 0x0c) = (CLOCK_HZ / 2 + BAUD / 2) / BAUD;
    REGISTER(usart + 0x08) = 1u << 6 | 1u << 12; /* receive by DMA; an overrun does not stop it */
    /* 8.3.3, table 26: stream 2, channel 4; bytes, circular, into the ring. */
    REGISTER(dma2 + 0x10 + 0x18 * 2 + 8) = usart + 0x24;
    REGISTER(dma2 + 0x10 + 0x18 * 2 + 12) = (uint32_t)(uintptr_t)receive_ring;
    REGISTER(dma2 + 0x10 + 0x18 * 2 + 4) = RECEIVE_RING_BYTES;
    REGISTER(dma2 + 0x10 + 0x18 * 2) = 4u << 25 | 1u << 10 | 1u << 8 | 1;
    REGISTER(usart) = 1u << 3 | 1u << 2 | 1;
    cycle_counter_start();
}

/* Its 25 MHz crystal, with ageing and temperature. */
uint32_t board_clock_ppm(void) { return 100; }

uint32_t stm32_sector(const uint8_t *unit) { return 5 + ((uint32_t)(uintptr_t)unit - 0x08040000) / (256 * KB); }

void stm32_forget_flash(void) { flush_data_cache(); }
