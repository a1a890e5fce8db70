#include "driver.h"

#include <stdlib.h>
#include <string.h>

/* Under AddressSanitizer the allocator's own zones stand around every block; elsewhere these do. */
#if defined(__SANITIZE_ADDRESS__)
static const uint32_t GUARD = 0;
#else
static const uint32_t GUARD = 256;
#endif
enum { GUARD_BYTE = 0xa5 };

static struct {
  uint32_t asks, patience;
  const uint8_t *input;
  uint32_t input_bytes;
} now;

static int keep_going(void) {
  now.asks++;
  return now.patience == 0 || now.asks < now.patience;
}

static int fetch(uint32_t offset, uint32_t bytes, uint8_t *to) {
  /* The check holds a program to the input it claims; whether that is what there is, the hook must see. */
  if ((uint64_t)offset + bytes > now.input_bytes) return 1;
  memcpy(to, now.input + offset, bytes);
  return 0;
}

void fill_pool(uint8_t *pool, uint32_t bytes) {
  uint32_t x = 0x9e3779b9u;
  for (uint32_t i = 0; i < bytes; i += 4) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    memcpy(pool + i, &x, bytes - i < 4 ? bytes - i : 4);
  }
}

static int whole(const uint8_t *guard) {
  for (uint32_t i = 0; i < GUARD; i++)
    if (guard[i] != GUARD_BYTE) return 0;
  return 1;
}

void run_case(const test_case *test, test_result *result) {
  static uint8_t *pool;
  static uint32_t pool_bytes;
  if (test->pool_bytes != pool_bytes) {
    free(pool);
    pool = test->pool_bytes ? malloc(test->pool_bytes) : 0;
    pool_bytes = test->pool_bytes;
    fill_pool(pool, pool_bytes);
  }
  const uint32_t arena_bytes = test->arena_bytes;
  void *block = 0;
#if defined(__SANITIZE_ADDRESS__)
  if (posix_memalign(&block, 16, arena_bytes ? arena_bytes : 1)) abort();
  uint8_t *arena = block;
#else
  block = malloc(arena_bytes + 2 * GUARD + 16);
  if (!block) abort();
  uint8_t *arena = (uint8_t *)(((uintptr_t)block + GUARD + 15) & ~(uintptr_t)15);
  memset(arena - GUARD, GUARD_BYTE, GUARD);
  memset(arena + arena_bytes, GUARD_BYTE, GUARD);
#endif
  memcpy(arena, test->arena, arena_bytes);
  now.asks = 0;
  now.patience = test->patience;
  now.input = test->input;
  now.input_bytes = test->input_bytes;
  const hilda_memory memory = {
      .arena = arena, .arena_bytes = arena_bytes, .pool = pool_bytes ? pool : 0, .pool_bytes = pool_bytes};
  const hilda_hooks hooks = {.keep_going = keep_going, .fetch = fetch};
  hilda_report report;
  *result = (test_result){0};
  result->check_error = hilda_check(&memory, test->program, test->program_bytes, &report);
  result->check_index = report.operator_index;
  result->work_low = (uint32_t)report.work;
  result->work_high = (uint32_t)(report.work >> 32);
  if (!result->check_error) {
    result->run_error = hilda_run(&memory, test->program, hooks, &report);
    result->run_index = report.operator_index;
    result->operators_done = report.operators_done;
  }
  result->asks = now.asks;
  result->guards_whole = whole(arena - GUARD) && whole(arena + arena_bytes);
  memcpy(test->arena, arena, arena_bytes);
  free(block);
}
