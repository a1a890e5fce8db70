#include "paint.h"

#include "../boards/stack.h"

enum { STACK_PAINT = 0xa5, RED_ZONE = 64 };

/* Bytes of an object that the compiler knows must not be assumed unchanged. */
void paint_fill(uint8_t *from, uint8_t *to, uint8_t paint)
{
    volatile uint32_t *at = (volatile uint32_t *)(((uintptr_t)from + 3) & ~(uintptr_t)3);
    for (volatile uint8_t *byte = from; byte < (volatile uint8_t *)at && byte < to; byte++) *byte = paint;
    for (; (uint8_t *)(at + 1) <= to; at++) *at = paint * 0x01010101u;
    for (volatile uint8_t *byte = (volatile uint8_t *)at; byte >= from && byte < to; byte++) *byte = paint;
}

uint32_t paint_height(const uint8_t *from, const uint8_t *to, uint8_t paint)
{
    while (to > from && to[-1] == paint) to--;
    return (uint32_t)(to - from);
}

__attribute__((noinline)) void paint_stack(void)
{
    uint8_t here;
    uint8_t *to = (uint8_t *)(((uintptr_t)&here - RED_ZONE) & ~(uintptr_t)3);
    if (stack_bottom() && to > stack_bottom()) paint_fill(stack_bottom(), to, STACK_PAINT);
}

uint32_t paint_stack_depth(void)
{
    const uint8_t *at = stack_bottom();
    while (at < stack_top_byte() && *at == STACK_PAINT) at++;
    return (uint32_t)(stack_top_byte() - at);
}
