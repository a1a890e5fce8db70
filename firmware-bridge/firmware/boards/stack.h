/* Where the stack lies, and a second one for the link: symbols of sections.ld on a board, nowhere on the host build. */
#ifndef HILDA_STACK_H
#define HILDA_STACK_H
#include <stdint.h>

#ifdef HILDA_HOST
static inline uint8_t *stack_bottom(void) { return 0; }
static inline uint8_t *stack_top_byte(void) { return 0; }
static inline void on_link_stack(void (*call)(void)) { call(); }
#else
extern uint8_t stack_bottom_symbol[] __asm__("stack_bottom"), stack_top_symbol[] __asm__("stack_top");
static inline uint8_t *stack_bottom(void) { return stack_bottom_symbol; }
static inline uint8_t *stack_top_byte(void) { return stack_top_symbol; }
/* Frames come when they like: on the network's own stack, its peak would depend on when. */
void on_link_stack(void (*call)(void));
#endif

#endif
