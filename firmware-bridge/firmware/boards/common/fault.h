#ifndef HILDA_FAULT_H
#define HILDA_FAULT_H
#include <stdint.h>

enum { FAULT_MAGIC = 0x48464c54 };

/* Written by the fault handler, read after the restart that follows. */
typedef struct {
    uint32_t magic;
    uint32_t address;
} fault_note;

extern fault_note kept_fault;

#endif
