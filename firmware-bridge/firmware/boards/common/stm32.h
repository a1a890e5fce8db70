/* What the STM32 families have alike, at addresses of their own: UART with receive by DMA or polled, 96-bit chip id, reset
   flags, independent watchdog, keys and status of the flash. */
#ifndef HILDA_STM32_H
#define HILDA_STM32_H
#include <stdint.h>

/* Status and data registers of the two generations of USART: SR and DR of F1, F2 and F4; ISR, RDR and TDR of all later
   families. The bits that are used here (transmission complete, transmit register empty) have the same place in both. */
#define STM32_UART_OLD(base) .status = (base), .received = (base) + 0x04, .sent = (base) + 0x04
#define STM32_UART_NEW(base) .status = (base) + 0x1c, .received = (base) + 0x24, .sent = (base) + 0x28

typedef struct {
    uint32_t status, received, sent;
    /* The DMA channel's count of bytes to go in the ring; 0 where the receiver is polled. */
    uint32_t ring_left;
    /* 0 where there is none. */
    uint32_t chip_id;
    /* RCC_CSR, and its bit that clears the reset flags. */
    uint32_t reset_flags, clear_reset_flags;
    uint32_t flash_keys, flash_status, flash_control;
    /* Error bits of the flash's status. */
    uint32_t flash_errors;
} stm32_map;

extern const stm32_map stm32;

void stm32_flash_unlock(void);
/* Of stm32-sectors.c (F2, F4, F7), answered by the board: the sector that begins at an address, and how its caches forget what
   the flash held before. */
uint32_t stm32_sector(const uint8_t *unit);
void stm32_forget_flash(void);
/* Waits for the flash, clears its status, locks it; 0 when all went well. */
int stm32_flash_done(void);

#endif
