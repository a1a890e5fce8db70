/* Vectors, start of C, faults: the same for every Cortex-M. */
#include <stdint.h>

#include "../board.h"
#include "../stack.h"
#include "cortex.h"
#include "fault.h"

extern uint32_t stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];

int main(void);
void enable_coprocessors(void);

__attribute__((section(".kept"))) fault_note kept_fault;

__attribute__((noreturn, used)) void reset_handler(void)
{
    __asm volatile("cpsid i");
    enable_coprocessors();
    for (uint32_t *to = data_start, *from = data_load; to < data_end;) *to++ = *from++;
    for (uint32_t *to = bss_start; to < bss_end;) *to++ = 0;
    main();
    board_restart();
}

uint32_t board_cpuid(void) { return SCB_CPUID; }

/* CP10 and CP11, the floating-point and vector unit, are off after reset; the compiler may use them anywhere. */
void enable_coprocessors(void)
{
#if __ARM_ARCH >= 7
    *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20;
    __asm volatile("dsb\n isb");
#endif
}

/* Whatever went wrong, the board comes back and hello tells where it was. */
__attribute__((noreturn, used)) void note_fault(const uint32_t *frame)
{
    kept_fault.magic = FAULT_MAGIC;
    const uint32_t at = (uint32_t)(uintptr_t)frame;
    const int readable = at >= (uint32_t)(uintptr_t)stack_top - 0x10000u && at < (uint32_t)(uintptr_t)stack_top;
    kept_fault.address = readable ? frame[6] : 0;
    board_restart();
}

__attribute__((naked)) void fault_handler(void)
{
    /* The stack may be what overflowed: the handler gets a fresh one. */
    __asm volatile("mrs r0, msp\n ldr r1, =stack_top\n mov sp, r1\n bl note_fault\n");
}

enum { LINK_STACK_WORDS = 256, CANARY = 0x5ca1ab1e };
static uint32_t link_stack[LINK_STACK_WORDS] __attribute__((aligned(8)));

__attribute__((naked, noinline)) static void call_on_stack(void (*call)(void) __attribute__((unused)),
                                                           uint32_t *top __attribute__((unused)))
{
    __asm volatile("push {r4, lr}\n mov r4, sp\n mov sp, r1\n blx r0\n mov sp, r4\n pop {r4, pc}\n");
}

void on_link_stack(void (*call)(void))
{
    link_stack[0] = CANARY;
    call_on_stack(call, link_stack + LINK_STACK_WORDS);
    /* It grew over what lies below: nothing can be trusted any more. */
    if (link_stack[0] != CANARY) __builtin_trap();
}

typedef void (*vector)(void);

__attribute__((section(".vectors"), used)) const vector vectors[16] = {
    (vector)stack_top, reset_handler, fault_handler, fault_handler, fault_handler, fault_handler,
    fault_handler,     fault_handler, 0,             0,             0,             fault_handler,
    fault_handler,     0,             fault_handler, fault_handler,
};
