/* The channels of one window of a pool. The rest of pooling (pool.c) is common to all cores. */
#ifndef HILDA_POOL_H
#define HILDA_POOL_H

#include "window.h"

/* The part of a window inside the image: tap rows [top, bottom), tap columns [left, right); empty where there is none. */
typedef struct hilda_region {
  uint32_t top, bottom, left, right;
} hilda_region;

typedef struct hilda_pool {
  const hilda_window *window;
  uint32_t oy, column; /* column: of the input, that of tap column `left` */
  hilda_region region;
  int average;
  int32_t zeros, multiplier; /* average: what to take from the sum, how to scale it */
  hilda_quant quant;
} hilda_pool;

/* Channels [channel, channel + lanes) of the window, lanes 1..4, to out. */
void hilda_pool_channels(const hilda_pool *pool, uint32_t channel, uint32_t lanes, int8_t *out);

#endif
