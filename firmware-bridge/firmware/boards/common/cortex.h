/* Registers of the core that boards share (ARMv6-M, ARMv7-M and ARMv8-M reference manuals). */
#ifndef HILDA_CORTEX_H
#define HILDA_CORTEX_H
#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define SYST_CSR REGISTER(0xe000e010)
#define SYST_RVR REGISTER(0xe000e014)
#define SYST_CVR REGISTER(0xe000e018)
#define NVIC_ISER(n) REGISTER(0xe000e100 + 4 * (n))
#define NVIC_ICPR(n) REGISTER(0xe000e280 + 4 * (n))
#define SCB_CPUID REGISTER(0xe000ed00)
#define SCB_ICSR REGISTER(0xe000ed04)
#define SCB_AIRCR REGISTER(0xe000ed0c)
#define SCB_SCR REGISTER(0xe000ed10)
#define DEMCR REGISTER(0xe000edfc)
#define DWT_CTRL REGISTER(0xe0001000)
#define DWT_CYCCNT REGISTER(0xe0001004)
#define DWT_LAR REGISTER(0xe0001fb0)

/* Interrupts stay masked: a pending one wakes the core from its sleep and is then served by looking. */
static inline void sleep_until_pending(void) { __asm volatile("dsb\n wfi" ::: "memory"); }

__attribute__((noreturn)) static inline void restart_core(void)
{
    __asm volatile("dsb" ::: "memory");
    SCB_AIRCR = 0x05fa0004;
    for (;;) __asm volatile("nop");
}

/* DWT's cycle counter: every M4, M7; the M7 locks it. */
static inline void cycle_counter_start(void)
{
    DEMCR |= 1u << 24;
    DWT_LAR = 0xc5acce55;
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1;
}

#endif
