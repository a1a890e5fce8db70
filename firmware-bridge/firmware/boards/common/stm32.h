/* What the STM32 families have alike, at addresses of their own: UART with receive by DMA, 96-bit chip id, reset flags,
   independent watchdog, keys and status of the flash. */
#ifndef HILDA_STM32_H
#define HILDA_STM32_H
#include <stdint.h>

typedef struct {
    uint32_t uart;
    /* The DMA channel's count of bytes to go in the ring. */
    uint32_t ring_left;
    uint32_t chip_id;
    /* RCC_CSR, and its bit that clears the reset flags. */
    uint32_t reset_flags, clear_reset_flags;
    uint32_t flash_keys, flash_status, flash_control;
    /* Error bits of the flash's status. */
    uint32_t flash_errors;
} stm32_map;

extern const stm32_map stm32;

void stm32_flash_unlock(void);
/* Waits for the flash, clears its status, locks it; 0 when all went well. */
int stm32_flash_done(void);

#endif
