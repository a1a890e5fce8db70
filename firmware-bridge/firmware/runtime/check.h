/* The parts of hilda_check. All sizes are 64-bit: no product of record fields can wrap. */
#ifndef HILDA_CHECK_H
#define HILDA_CHECK_H

#include "../include/hilda_runtime.h"
#include "rules.h"

typedef struct hilda_checker {
  const hilda_header *header;
  uint64_t work;
} hilda_checker;

/* How often an operator runs, and where: alone (1), in a LOOP, or as part of a WINDOW. */
typedef struct hilda_pass {
  uint32_t iterations;
  uint32_t partial;     /* rows of the short iteration, 0 where there is none */
  uint32_t short_index; /* which iteration is short */
  uint32_t ring_rows;   /* producers of a WINDOW: rows of the ring RING_OUT refers to */
  uint8_t grouped;      /* steps may be non-zero */
  uint8_t row_wise;     /* a windowed operator run one output row at a time */
} hilda_pass;

/* All checks of one record that is not a group. */
int hilda_check_operator(hilda_checker *checker, const hilda_operator *record, const hilda_pass *pass);
/* The members of the group at `index`; on error *bad holds the offending record's index. */
int hilda_check_group(hilda_checker *checker, const hilda_operator *records, uint32_t index, uint32_t *bad);
/* Fields that must be zero, and values no operator may have. */
int hilda_check_fields(const hilda_operator *record, const hilda_pass *pass);
/* `bytes` bytes at reference + low lie inside the reference's space. */
int hilda_check_span(const hilda_checker *checker, uint32_t reference, int64_t low, uint64_t bytes);

#endif
