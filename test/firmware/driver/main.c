/* driver run IN OUT | driver fuzz IN SEED ROUNDS
 * IN: cases one after another, each six little-endian words (program, arena, pool, input bytes, patience, 0), then the
 * bytes of program, arena and input. OUT: for each case a test_result and the arena. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

static uint8_t *read_bytes(FILE *file, uint32_t bytes) {
  uint8_t *block = malloc(bytes ? bytes : 1);
  if (!block || fread(block, 1, bytes, file) != bytes) abort();
  return block;
}

static int read_case(FILE *file, test_case *test) {
  uint32_t words[6];
  if (fread(words, 4, 6, file) != 6) return 0;
  *test = (test_case){.program_bytes = words[0], .arena_bytes = words[1], .pool_bytes = words[2], .input_bytes = words[3],
                      .patience = words[4]};
  test->program = read_bytes(file, words[0]);
  test->arena = read_bytes(file, words[1]);
  test->input = read_bytes(file, words[3]);
  return 1;
}

static void free_case(test_case *test) {
  free(test->program);
  free(test->arena);
  free(test->input);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  FILE *in = fopen(argv[2], "rb");
  if (!in) return 3;
  test_case test;
  if (!strcmp(argv[1], "fuzz")) {
    enum { MOST = 256 };
    static test_case tests[MOST];
    uint32_t count = 0;
    while (count < MOST && read_case(in, &test)) tests[count++] = test;
    const uint32_t rounds = (uint32_t)strtoul(argv[4], 0, 10);
    const uint32_t passed = fuzz_cases(tests, count, (uint32_t)strtoul(argv[3], 0, 10), rounds);
    printf("%lu of %lu mutants passed the check and ran\n", (unsigned long)passed, (unsigned long)rounds);
    while (count > 0) free_case(&tests[--count]);
    return 0;
  }
  FILE *out = fopen(argv[3], "wb");
  if (!out) return 4;
  while (read_case(in, &test)) {
    test_result result;
    run_case(&test, &result);
    fwrite(&result, sizeof result, 1, out);
    fwrite(test.arena, 1, test.arena_bytes, out);
    free_case(&test);
  }
  fclose(out);
  return 0;
}
