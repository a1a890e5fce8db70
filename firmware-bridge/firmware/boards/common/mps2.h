/* What Arm's MPS2 and MPS3 images have in common: CMSDK UART and FPGA counter (application notes 385, 386, 400, 547). The
   "flash" of these boards is RAM: deployments live until power goes. */
#ifndef HILDA_MPS2_H
#define HILDA_MPS2_H
#include <stdint.h>

typedef struct {
    uint32_t uart, fpga_io;
    uint32_t uart_receive_irq;
} mps2_map;

extern const mps2_map mps2;

#endif
