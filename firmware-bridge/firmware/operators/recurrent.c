/* LSTM_CELL and GRU_CELL: the elements of one step of a recurrent layer, from 16-bit gates to an 8-bit output and a 32-bit
 * state (ABI.md, "Arithmetic"). Loops over steps are LOOPs. */
#include "call.h"

typedef int16_t curve[HILDA_CURVE_ENTRIES];

/* A function of a 16-bit value: the straight line between the two entries around it. */
HILDA_INLINE int32_t along(const int16_t *entries, int32_t value) {
  const uint32_t at = (uint32_t)(value + 32768) >> 8;
  const int32_t from = entries[at], to = entries[at + 1];
  return from + (((to - from) * (value & 255) + 128) >> 8);
}

/* A 32-bit value times one of 16 bits in steps of 2^-15, without a long product. */
HILDA_INLINE uint32_t share_of(int32_t value, int32_t part) {
  const uint32_t high = (uint32_t)(part * (value >> 16)) << 1;
  return high + (uint32_t)((part * (value & 0xffff)) >> 15);
}

/* The state of a step; `added` and `kept` come with the opposite sign. */
HILDA_INLINE int32_t next_state(int32_t added, int32_t bent, int32_t kept, int32_t state, uint32_t product_shift) {
  return (int32_t)(0u - ((uint32_t)((added * bent) >> product_shift) + share_of(state, kept)));
}

HILDA_INLINE void store32(void *to, int32_t value) { __builtin_memcpy(to, &value, 4); }

int hilda_lstm_cell_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const uint32_t n = shape->n, product_shift = shape->offset & 31, argument_shift = (uint32_t)shape->offset >> 5;
  const curve *curves = call->weights;
  const hilda_quant quant = hilda_quant_of(record);
  const hilda_quant whole = {record->zero_in1, -128, 127, record->shift};
  const int8_t *gates = call->in;
  int8_t *state = call->out + record->out_stride, *narrow = state + 4 * n;
  if (hilda_cancelled(call, 16u * n)) return HILDA_E_CANCELLED;
  for (uint32_t i = 0; i < n; i++, gates += 2, state += 4) {
    const int32_t in = along(curves[0], hilda_load16(gates));
    const int32_t out = along(curves[1], hilda_load16(gates + 2 * n));
    const int32_t forget = along(curves[2], hilda_load16(gates + 4 * n));
    const int32_t candidate = along(curves[3], hilda_load16(gates + 6 * n));
    const int32_t cell = next_state(in, candidate, forget, (int32_t)hilda_load32(state), product_shift);
    const int32_t twice = cell >> argument_shift;
    const int32_t bent = along(curves[4], hilda_clamp((twice >> 1) + (twice & 1), -32768, 32767));
    store32(state, cell);
    call->out[i] = hilda_requantise((out * bent + 128) >> 8, shape->multiplier, &quant);
    if (shape->multiplier1) narrow[i] = hilda_requantise(cell >> 8, shape->multiplier1, &whole);
  }
  return HILDA_OK;
}

int hilda_gru_cell_run(const hilda_call *call) {
  const hilda_operator *record = call->record;
  const hilda_rows_shape *shape = &record->shape.rows;
  const uint32_t n = shape->n, product_shift = shape->offset & 31, argument_shift = (uint32_t)shape->offset >> 5;
  const curve *curves = call->weights;
  const hilda_quant quant = hilda_quant_of(record);
  const int8_t *gates = call->in;
  int8_t *state = call->out + record->out_stride;
  if (hilda_cancelled(call, 16u * n)) return HILDA_E_CANCELLED;
  for (uint32_t i = 0; i < n; i++, gates += 2, state += 4) {
    const int32_t keep = hilda_load16(gates);
    int32_t argument = hilda_load16(gates + 2 * n);
    if (shape->k == 4) {
      /* Gates: keep, reset, what the input adds, what the state adds. */
      const int32_t reset = along(curves[3], argument);
      argument = hilda_load16(gates + 4 * n) + ((reset * hilda_load16(gates + 6 * n) + 16384) >> 15);
      argument = hilda_clamp((int32_t)((uint32_t)argument << argument_shift), -32768, 32767);
    }
    const int32_t candidate = along(curves[2], argument), added = along(curves[1], keep);
    const int32_t kept = along(curves[0], keep);
    const int32_t next = next_state(added, candidate, kept, (int32_t)hilda_load32(state), product_shift);
    store32(state, next);
    call->out[i] = hilda_requantise(next >> 8, shape->multiplier, &quant);
  }
  return HILDA_OK;
}
