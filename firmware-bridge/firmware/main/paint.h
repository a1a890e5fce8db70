/* High-water marks by painting: fill before, look for the highest (or deepest) byte that changed. */
#ifndef HILDA_PAINT_H
#define HILDA_PAINT_H
#include <stdint.h>

void paint_fill(uint8_t *from, uint8_t *to, uint8_t paint);
/* Bytes from `from` to the end of the highest byte that is not `paint`. */
uint32_t paint_height(const uint8_t *from, const uint8_t *to, uint8_t paint);

/* The stack below the caller. */
void paint_stack(void);
/* Bytes of stack in use at the deepest moment since it was painted. */
uint32_t paint_stack_depth(void);

#endif
