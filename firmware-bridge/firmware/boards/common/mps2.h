/* What Arm's MPS2 and MPS3 images have in common: CMSDK UART (application notes 385, 386, 400, 547). The
   "flash" of these boards is RAM: deployments live until power goes. */
#ifndef HILDA_MPS2_H
#define HILDA_MPS2_H
#include <stdint.h>

typedef struct {
    uint32_t uart;
    uint32_t uart_receive_irq;
    /* So many instructions take 2^ticks_log2 ticks of the core's clock in QEMU. */
    uint32_t instructions, ticks_log2;
} mps2_map;

extern const mps2_map mps2;

#endif
