/* Work memory: arena from the start, ticks of each operator above it, a program uploaded to RAM at the end. */
#ifndef HILDA_WORK_H
#define HILDA_WORK_H
#include <stdint.h>

#ifdef HILDA_HOST
#define HILDA_WORK_BYTES (256 * 1024)
extern uint8_t work_memory[HILDA_WORK_BYTES];
#define work_start (work_memory)
#define work_end (work_memory + HILDA_WORK_BYTES)
#else
extern uint8_t work_start[], work_end[];
#endif

static inline uint32_t work_bytes(void) { return (uint32_t)(work_end - work_start); }

#endif
