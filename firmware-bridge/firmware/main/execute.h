/* Checks and runs the programs of the slots. */
#ifndef HILDA_EXECUTE_H
#define HILDA_EXECUTE_H
#include <stdint.h>

#include "../include/hilda_runtime.h"
#include "../link/session.h"

enum { RUN_PAINT = 1, RUN_POOL_INPUT = 2 };

typedef struct {
    uint8_t slot, flags, paint;
    uint32_t limit_ms;
} run_order;

typedef struct {
    uint64_t ticks;
    uint32_t operators, arena_peak, stack_peak, output_crc, tick_overhead;
} run_result;

/* Where a slot's program would run: 0 or an error code of LINK.md. */
uint8_t execute_check(uint8_t slot, hilda_report *report, const hilda_header **header);

/* 0 or an error code of LINK.md; `report` tells where. Serves ping and cancel meanwhile. */
uint8_t execute_run(const run_order *order, const request *run, run_result *result, hilda_report *report);

/* Bytes of the network's input that a program with FETCH asked for; 0 when they were taken. */
uint8_t execute_input(uint32_t offset, const uint8_t *bytes, uint32_t count);

/* The arena that frames may read and write. */
uint32_t execute_arena_bytes(void);
/* Ticks of each operator of the last run; null before the first. */
const uint32_t *execute_ticks(uint32_t *operators);

#endif
