/* Programs as an enemy would write them: valid ones with fields, words or bytes changed, and noise. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

/* A run may take this many questions of keep_going and this much work; the rest of a mutant's life is not interesting. */
enum { PATIENCE = 64 };
static const uint64_t MOST_WORK = 3000000;

static uint32_t state;

static uint32_t draw(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return below ? state % below : state;
}

/* Numbers at which size computations go wrong. */
static uint32_t awkward(uint32_t old, const test_case *test) {
  static const uint32_t fixed[] = {0,      1,      2,      3,          4,          15,         16,         17,        255, 256,
                                   0x7fff, 0x8000, 0xffff, 0x10000,    0x10001,    0x3fffffff, 0x40000000, 0x40000010};
  static const uint32_t large[] = {0x7fffffff, 0x80000000, 0x80000001, 0xfffffff0, 0xfffffffe, 0xffffffff, 0xc0000000};
  switch (draw(8)) {
    case 0: return fixed[draw(sizeof fixed / sizeof *fixed)];
    case 1: return large[draw(sizeof large / sizeof *large)];
    case 2: return old + 1;
    case 3: return old - 1;
    case 4: return old + (1u << draw(32));
    case 5: return test->arena_bytes - draw(64);
    case 6: return draw(test->arena_bytes + 64);
    default: return old * 2;
  }
}

static void mutate_field(uint8_t *program, const test_case *test) {
  static const uint8_t widths[] = {1, 2, 4, 4, 4, 4};
  const uint32_t records = (test->program_bytes - 64) / 96;
  uint32_t count;
  memcpy(&count, program + 12, 4);
  const uint32_t live = count && count < records ? count : records ? records : 1;
  const uint32_t width = widths[draw(6)];
  const uint32_t base = draw(10) ? 64 + 96 * draw(live) : 0;
  const uint32_t at = base + draw((base ? 96 : 64) / width) * width;
  if (at + width > test->program_bytes) return;
  uint32_t value = 0;
  memcpy(&value, program + at, width);
  value = awkward(value, test);
  memcpy(program + at, &value, width);
}

static void mutate(uint8_t *program, const test_case *test) {
  const uint32_t changes = 1 + draw(4);
  for (uint32_t i = 0; i < changes; i++) {
    switch (draw(12)) {
      case 0: program[draw(test->program_bytes)] = (uint8_t)draw(0); break;
      case 1: program[draw(test->program_bytes)] ^= (uint8_t)(1u << draw(8)); break;
      case 2: {
        /* One record in another's place. */
        const uint32_t records = (test->program_bytes - 64) / 96;
        if (records > 1) memmove(program + 64 + 96 * draw(records), program + 64 + 96 * draw(records), 96);
        break;
      }
      case 3: {
        /* Noise behind a plausible header. */
        for (uint32_t at = 64; at < test->program_bytes && draw(64) == 0; at++) program[at] = (uint8_t)draw(0);
        break;
      }
      default: mutate_field(program, test);
    }
  }
}

uint32_t fuzz_cases(const test_case *tests, uint32_t count, uint32_t seed, uint32_t rounds) {
  uint32_t passed = 0;
  state = seed * 2654435761u + 1u;
  for (uint32_t round = 0; round < rounds; round++) {
    test_case mutant = tests[draw(count)];
    /* Exact allocations: reading one byte past the program, arena or pool is seen. */
    if (draw(16) == 0) mutant.program_bytes = draw(mutant.program_bytes) + 1;
    if (draw(16) == 0) mutant.arena_bytes = draw(mutant.arena_bytes) + 1;
    uint8_t *program = malloc(mutant.program_bytes), *arena = malloc(mutant.arena_bytes);
    memcpy(program, mutant.program, mutant.program_bytes);
    memcpy(arena, mutant.arena, mutant.arena_bytes);
    mutant.program = program;
    mutant.arena = arena;
    mutant.patience = PATIENCE;
    if (mutant.program_bytes > 64) mutate(program, &mutant);
    /* First without running: programs of unending work are for keep_going to end, not for this loop. */
    hilda_report report;
    const hilda_memory memory = {.arena = (uint8_t *)16, .arena_bytes = mutant.arena_bytes, .pool = (uint8_t *)16,
                                 .pool_bytes = mutant.pool_bytes};
    const int error = hilda_check(&memory, program, mutant.program_bytes, &report);
    if (!error && report.work < MOST_WORK) {
      test_result result;
      run_case(&mutant, &result);
      if (result.check_error && mutant.pool_bytes) {
        fprintf(stderr, "round %lu of seed %lu: the check passed once and failed once\n", (unsigned long)round, (unsigned long)seed);
        abort();
      }
      if (!result.guards_whole || result.asks > PATIENCE) {
        fprintf(stderr, "round %lu of seed %lu: wrote outside the arena, or did not stop\n", (unsigned long)round, (unsigned long)seed);
        abort();
      }
      passed++;
    }
    free(program);
    free(arena);
  }
  return passed;
}
