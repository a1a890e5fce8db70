/* What is asked of the RP2350's boot ROM (data sheet 5.4). */
#ifndef HILDA_RP2350_ROM_H
#define HILDA_RP2350_ROM_H
#include <stdint.h>

/* Finds the routines and how the boot ROM reads the flash. Called before the clocks change. */
void flash_start(void);
/* Erases 4 KB where `bytes` is null, otherwise writes a page of STORAGE_PAGE_BYTES. */
void flash_write(uint32_t offset, const uint8_t *bytes);
/* Words that were written, or a negative error. */
int rom_system_info(uint32_t *words, uint32_t count, uint32_t which);
/* Restarts into the boot ROM's USB loader; does not return. */
void rom_enter_loader(void);

#endif
