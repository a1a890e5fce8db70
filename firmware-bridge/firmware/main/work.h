/* Work memory: arena from the start, ticks of each operator above it, a program uploaded to RAM at the end. */
#ifndef HILDA_WORK_H
#define HILDA_WORK_H
#include <stdint.h>

extern uint8_t work_start[], work_end[];

static inline uint32_t work_bytes(void) { return (uint32_t)(work_end - work_start); }

#endif
