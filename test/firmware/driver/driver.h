/* One program run by the runtime alone, without board or link: natively, or under QEMU by semihosting. */
#ifndef HILDA_TEST_DRIVER_H
#define HILDA_TEST_DRIVER_H

#include <stdint.h>

#include "hilda_runtime.h"

typedef struct test_case {
  uint32_t program_bytes, arena_bytes, pool_bytes, input_bytes;
  uint32_t patience; /* keep_going says stop after so many asks; 0: never */
  uint8_t *program, *arena, *input;
} test_case;

typedef struct test_result {
  int32_t check_error;
  uint32_t check_index;
  int32_t run_error;
  uint32_t run_index;
  uint32_t asks; /* of keep_going */
  uint32_t operators_done;
  uint32_t work_low, work_high;
  uint32_t guards_whole; /* 1: nothing around the arena was written */
} test_result;

/* Checks the program and runs it if the check passes; the arena then holds what it left. */
void run_case(const test_case *test, test_result *result);
/* Mutates the given cases and runs them; returns how many of the mutants passed the check. */
uint32_t fuzz_cases(const test_case *tests, uint32_t count, uint32_t seed, uint32_t rounds);

/* The board's weight pool (ABI.md, "Spaces and references"). */
void fill_pool(uint8_t *pool, uint32_t bytes);

#endif
