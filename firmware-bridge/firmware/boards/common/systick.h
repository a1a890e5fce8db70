/* SysTick as a counter of 32 bits and more: 24 in hardware, the wraps seen as a pending exception. Interrupts are masked, so
   a wrap is lost when two come between two looks: `keep_going` looks far more often. */
#ifndef HILDA_SYSTICK_H
#define HILDA_SYSTICK_H
#include "cortex.h"

enum { SYSTICK_TOP = 0xffffff };

static uint32_t systick_wraps;

static inline void systick_start(void)
{
    systick_wraps = 0;
    SYST_CSR = 0;
    SYST_RVR = SYSTICK_TOP;
    SYST_CVR = 0;
    SYST_CSR = 7;
    /* The first tick loads the counter, which may count as a wrap. */
    while (SYST_CVR == 0) {
    }
    SCB_ICSR = 1u << 25;
}

/* A running SysTick would wake the core from its sleep for nothing. */
static inline void systick_stop(void)
{
    SYST_CSR = 0;
    SCB_ICSR = 1u << 25;
}

/* Ticks since the counter was loaded. Without a branch: when a wrap is seen depends on what the link took meanwhile, and an
   operator must not count more for it. A wrap that is pending came before the count was read if the count is high, after
   it if it is low: then this count still belongs to the time before. */
static inline uint64_t systick_count(void)
{
    const uint32_t count = SYST_CVR;
    const uint32_t wrapped = SCB_ICSR >> 26 & 1;
    SCB_ICSR = wrapped << 25;
    systick_wraps += wrapped;
    const uint32_t wraps = systick_wraps - (wrapped & ~(count >> 23));
    return ((uint64_t)wraps << 24) + (SYSTICK_TOP - count);
}

#endif
