/* A fuzzer that is guided by coverage, in one process: inputs that reach new edges are kept and changed further. */
#ifndef HILDA_FUZZ_GUIDED_H
#define HILDA_FUZZ_GUIDED_H
#include <stdint.h>

enum { INPUT_MOST = 16384 };

/* Of the target: runs one input. What is wrong aborts, or a sanitizer does. */
void target_run(const uint8_t *bytes, uint32_t count);

/* Edges seen since `cover_clear`, one counter each. */
enum { COVER_EDGES = 1 << 16 };
extern uint8_t cover_map[COVER_EDGES];

#endif
