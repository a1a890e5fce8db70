/* The check of programs and the kernels: an input is the arena's size (two bytes, in units of 16), the pool's (one byte, of
 * 64), and a program. What passes the check must stay within arena, pool and program. */
#include <stdlib.h>
#include <string.h>

#include "../../firmware/driver/driver.h"
#include "guided.h"

static const uint64_t MOST_WORK = 300000;

void target_run(const uint8_t *bytes, uint32_t count) {
  if (count < 4) return;
  const uint32_t arena_bytes = 16 * ((bytes[0] | (uint32_t)bytes[1] << 8) % 1024), pool_bytes = 64 * (bytes[2] % 32);
  const uint32_t program_bytes = count - 3;
  /* To the byte: what reads one byte past the program is seen. Programs lie on words. */
  void *program = 0;
  if (posix_memalign(&program, 16, program_bytes)) abort();
  memcpy(program, bytes + 3, program_bytes);
  hilda_report report;
  const hilda_memory memory = {.arena = (uint8_t *)16, .arena_bytes = arena_bytes, .pool = pool_bytes ? (uint8_t *)16 : 0,
                               .pool_bytes = pool_bytes};
  const int error = hilda_check(&memory, program, program_bytes, &report);
  if (!error && report.work < MOST_WORK) {
    uint8_t *arena = malloc(arena_bytes ? arena_bytes : 1);
    for (uint32_t i = 0; i < arena_bytes; i++) arena[i] = (uint8_t)(i * 37 + 11);
    const test_case test = {.program_bytes = program_bytes, .arena_bytes = arena_bytes, .pool_bytes = pool_bytes,
                            .patience = 64, .program = program, .arena = arena, .input = program};
    test_result result;
    run_case(&test, &result);
    if (!result.guards_whole || result.asks > test.patience) abort();
    free(arena);
  }
  free(program);
}
