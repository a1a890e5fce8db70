/* Requantisation and stores of Helium vectors. */
#ifndef HILDA_MVE_H
#define HILDA_MVE_H

#include "arithmetic.h"

#if HILDA_HAS_MVE
#include <arm_mve.h>

typedef struct hilda_vector_quant {
  int32x4_t low, high;
  int32_t zero_out, shift;
} hilda_vector_quant;

HILDA_INLINE hilda_vector_quant hilda_vector_quant_of(const hilda_quant *q) {
  const hilda_vector_quant vectors = {vdupq_n_s32(q->low), vdupq_n_s32(q->high), q->zero_out, (int32_t)q->shift};
  return vectors;
}

HILDA_INLINE int32x4_t hilda_requantise4(int32x4_t sum, int32x4_t multiplier, const hilda_vector_quant *q) {
  const int32x4_t scaled = vrmulhq_s32(vshlq_r_s32(sum, q->shift), multiplier);
  return vminq_s32(vmaxq_s32(vaddq_n_s32(scaled, q->zero_out), q->low), q->high);
}

/* Stores the low bytes of the first min(count, 4) lanes, `stride` bytes apart. */
HILDA_INLINE void hilda_store4(int8_t *to, int32x4_t values, uint32_t stride, uint32_t count) {
  if (stride == 1) vstrbq_p_s32(to, values, vctp32q(count));
  else vstrbq_scatter_offset_p_s32(to, vmulq_n_u32(vidupq_n_u32(0, 1), stride), values, vctp32q(count));
}

#endif
#endif
