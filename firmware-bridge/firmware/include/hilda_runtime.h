/* The runtime's two entry points. A program is checked once, then may run any number of times. */
#ifndef HILDA_RUNTIME_H
#define HILDA_RUNTIME_H

#include "hilda_program.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The memory a program may use. Nothing outside the arena is ever written. */
typedef struct hilda_memory {
  uint8_t *arena; /* aligned to 16 bytes */
  uint32_t arena_bytes;
  const uint8_t *constants; /* NULL: the blob inside the program */
  uint32_t constants_bytes;
  const uint8_t *pool; /* NULL where the board has none */
  uint32_t pool_bytes;
} hilda_memory;

/* Any hook may be NULL. */
typedef struct hilda_hooks {
  /* A free-running counter, read before and after each top-level operator. */
  uint32_t (*ticks)(void);
  /* Asked between operators and inside them after bounded work: feed the watchdog here; 0 cancels the run. */
  int (*keep_going)(void);
  /* A top-level operator (a group counts as one) is done; its ticks are its own, hooks excluded where the clock allows. */
  void (*operator_done)(uint32_t index, uint32_t ticks);
  /* Writes `bytes` bytes of the network's input from `offset` to `to`; 0 on success. For programs that use FETCH. */
  int (*fetch)(uint32_t offset, uint32_t bytes, uint8_t *to);
} hilda_hooks;

typedef struct hilda_report {
  int32_t error;           /* enum hilda_error */
  uint32_t operator_index; /* where the error is */
  uint32_t operators_done; /* records executed so far (hilda_run) */
  uint32_t arena_bytes;    /* what the program uses */
  uint64_t work;           /* elementary steps (MACs, or elements moved), from hilda_check */
} hilda_report;

/* Proves that every read and write of every record lies inside its space. Returns 0 or an enum hilda_error. */
int hilda_check(const hilda_memory *memory, const uint8_t *program, uint32_t bytes, hilda_report *report);

/* Runs a program that hilda_check has accepted with the same memory. */
int hilda_run(const hilda_memory *memory, const uint8_t *program, hilda_hooks hooks, hilda_report *report);

/* The weight layout this build's kernels want (enum hilda_layout). */
uint32_t hilda_native_layout(void);

#ifdef __cplusplus
}
#endif

#endif
