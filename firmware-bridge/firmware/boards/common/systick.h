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

/* Ticks since the counter was loaded. */
static inline uint64_t systick_count(void)
{
    uint32_t count = SYST_CVR;
    if (SCB_ICSR & 1u << 26) {
        SCB_ICSR = 1u << 25;
        systick_wraps++;
        count = SYST_CVR;
    }
    return ((uint64_t)systick_wraps << 24) + (SYSTICK_TOP - count);
}

#endif
