/* Where programs lie: RAM, the deployment, the staging place; and the weight pool. */
#ifndef HILDA_STORAGE_H
#define HILDA_STORAGE_H
#include <stdint.h>

enum { SLOT_RAM = 0, SLOT_DEPLOYED = 1, SLOT_STAGED = 2 };

typedef struct {
    const uint8_t *program;
    uint32_t bytes;
    uint32_t crc;
} stored_program;

/* Looks for the deployment and the pool. */
void storage_start(void);

/* The complete program of a slot; `program` is null where there is none. */
stored_program storage_program(uint8_t slot);
uint32_t storage_sequence(void);

/* Each answers with 0 or an error code of LINK.md; `detail` explains it. */
uint8_t storage_begin(uint8_t slot, uint32_t bytes, uint32_t crc, uint32_t *received, uint32_t *detail);
uint8_t storage_data(uint32_t offset, const uint8_t *bytes, uint32_t count, uint32_t *received);
/* Verifies the checksum; the program is then complete. */
uint8_t storage_finish(uint8_t *slot);
/* The program that was uploaded last is not sound: it is forgotten. */
void storage_refuse(void);
/* Makes the program that was uploaded last to SLOT_DEPLOYED the deployment. */
uint8_t storage_commit(void);
uint8_t storage_erase(void);
/* Bytes at the end of work memory that the program in RAM occupies. */
uint32_t storage_ram_bytes(void);
/* Gives those bytes to the arena. */
void storage_drop_ram(void);

uint32_t storage_pool_seed(void);
uint8_t storage_fill_pool(uint32_t offset, uint32_t bytes, uint32_t seed, uint32_t *crc);

#endif
