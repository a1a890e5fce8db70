#ifndef HILDA_FAULT_NOTE_H
#define HILDA_FAULT_NOTE_H
#include <stdint.h>

#ifdef HILDA_HOST
static inline int take_fault(uint32_t *address)
{
    (void)address;
    return 0;
}
#else
#include "../boards/common/fault.h"

/* 1 when the last start followed a fault; forgets it. */
static inline int take_fault(uint32_t *address)
{
    const int faulted = kept_fault.magic == FAULT_MAGIC;
    if (faulted) *address = kept_fault.address;
    kept_fault.magic = 0;
    return faulted;
}
#endif

#endif
