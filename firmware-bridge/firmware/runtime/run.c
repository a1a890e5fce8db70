/* hilda_run: resolves each record's references and calls its operator. Trusts hilda_check: it checks nothing again. */
#include "run.h"

#include "../include/hilda_runtime.h"
#include "../operators/kernel.h"

typedef struct runner {
  uint8_t *arena;
  const uint8_t *constants, *pool;
  hilda_hooks hooks;
  uint32_t done, unasked;
} runner;

static const uint8_t *resolve(const runner *run, uint32_t reference, int32_t delta) {
  if (reference == HILDA_NONE) return 0;
  const uint32_t space = reference >> HILDA_SPACE_SHIFT;
  const uint8_t *base = space == HILDA_SPACE_ARENA ? run->arena : space == HILDA_SPACE_PROGRAM ? run->constants : run->pool;
  return base + ((reference & HILDA_OFFSET_MASK) + (uint32_t)delta);
}

/* Where one run of a record reads and writes, and how much of it runs. */
typedef struct position {
  uint32_t in, out; /* iterations: steps are multiplied by these */
  uint32_t rows;    /* 0: all */
  uint32_t first_row, end_row;
} position;

/* A record costs this much besides its elements, so that loops of tiny operators are asked about too. */
enum { STEPS_OF_A_CALL = 64 };

static int run_record(runner *run, const hilda_operator *record, const position *at) {
  const int32_t in_delta = (int32_t)((uint32_t)record->in_step * at->in);
  const int32_t out_delta = (int32_t)((uint32_t)record->out_step * at->out);
  int8_t *out = (int8_t *)resolve(run, record->out, out_delta);
  run->done++;
  run->unasked += STEPS_OF_A_CALL;
  if (record->code == HILDA_FETCH) {
    const hilda_rows_shape *shape = &record->shape.rows;
    if (!run->hooks.fetch) return HILDA_E_FETCH;
    return run->hooks.fetch((uint32_t)(shape->offset + in_delta), shape->n, (uint8_t *)out) ? HILDA_E_FETCH : HILDA_OK;
  }
  const hilda_call call = {
      .record = record,
      .in = (const int8_t *)resolve(run, record->in, in_delta),
      .in1 = (const int8_t *)resolve(run, record->in1, (int32_t)((uint32_t)record->in1_step * at->in)),
      .out = out,
      .weights = resolve(run, record->weights, 0),
      .bias = (const int32_t *)resolve(run, record->bias, 0),
      .multipliers = (const int32_t *)resolve(run, record->multipliers, 0),
      .scratch = (void *)resolve(run, record->scratch, 0),
      .rows = at->rows && at->rows < record->shape.rows.rows ? at->rows : record->shape.rows.rows,
      .first_row = at->first_row,
      .end_row = at->end_row ? at->end_row : record->shape.window.out_height,
      .ring_rows = record->count,
      .offset = (uint32_t)record->shape.rows.offset + (uint32_t)in_delta,
      .keep_going = run->hooks.keep_going,
      .unasked = &run->unasked,
  };
  return hilda_dispatch[record->code] ? hilda_dispatch[record->code](&call) : HILDA_E_CODE;
}

static int run_loop(runner *run, const hilda_operator *loop) {
  const hilda_rows_shape *shape = &loop->shape.rows;
  const uint32_t short_index = loop->flags & HILDA_PARTIAL_FIRST ? 0u : shape->rows - 1u;
  for (uint32_t i = 0; i < shape->rows; i++) {
    const position at = {.in = i, .out = i, .rows = i == short_index ? shape->k : 0};
    for (uint32_t member = 1; member <= loop->count; member++) {
      const int error = run_record(run, loop + member, &at);
      if (error) return error;
    }
  }
  return HILDA_OK;
}

static int run_window(runner *run, const hilda_operator *group) {
  const uint32_t producers = group->shape.window.kernel_height;
  const hilda_operator *consumer = group + 1 + producers;
  const hilda_window_shape *taps = &consumer->shape.window;
  const uint32_t ring_rows = consumer->count;
  uint32_t next = 0;
  for (uint32_t oy = 0; oy < taps->out_height; oy++) {
    const int32_t last = (int32_t)(oy * taps->stride_height + (taps->kernel_height - 1u) * taps->dilation_height) - taps->pad_top;
    for (; (int32_t)next <= last && next < taps->in_height; next++) {
      for (uint32_t i = 0; i < producers; i++) {
        const hilda_operator *producer = group + 1 + i;
        const position at = {.in = next, .out = producer->flags & HILDA_RING_OUT ? next % ring_rows : next};
        const int error = run_record(run, producer, &at);
        if (error) return error;
      }
    }
    for (const hilda_operator *record = consumer; record <= group + group->count; record++) {
      position at = {.in = oy, .out = oy};
      if (record == consumer) {
        at.first_row = oy;
        at.end_row = oy + 1u;
      }
      const int error = run_record(run, record, &at);
      if (error) return error;
    }
  }
  return HILDA_OK;
}

int hilda_run(const hilda_memory *memory, const uint8_t *program, hilda_hooks hooks, hilda_report *report) {
  const hilda_header *header = (const hilda_header *)program;
  const hilda_operator *records = (const hilda_operator *)(program + sizeof *header);
  runner run = {
      .arena = memory->arena,
      .constants = memory->constants ? memory->constants : program + header->constants_offset,
      .pool = memory->pool,
      .hooks = hooks,
  };
  static const position whole = {0};
  *report = (hilda_report){.arena_bytes = header->arena_bytes};
  for (uint32_t i = 0; i < header->operator_count && !report->error; i++) {
    const hilda_operator *record = &records[i];
    report->operator_index = i;
    if (hooks.keep_going && !hooks.keep_going()) {
      report->error = HILDA_E_CANCELLED;
      break;
    }
    const uint32_t start = hooks.ticks ? hooks.ticks() : 0;
    if (record->code == HILDA_LOOP) report->error = run_loop(&run, record);
    else if (record->code == HILDA_WINDOW) report->error = run_window(&run, record);
    else report->error = run_record(&run, record, &whole);
    const uint32_t ticks = hooks.ticks ? hooks.ticks() - start : 0;
    if (hooks.operator_done && !report->error) hooks.operator_done(i, ticks);
    if (record->code == HILDA_LOOP || record->code == HILDA_WINDOW) i += record->count;
  }
  report->operators_done = run.done;
  return report->error;
}

uint32_t hilda_native_layout(void) { return HILDA_NATIVE_LAYOUT; }
