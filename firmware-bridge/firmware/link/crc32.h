/* CRC-32 of IEEE 802.3 (reflected 0xedb88320), as zlib computes it. Start with 0; feed the result back in to continue. */
#ifndef HILDA_CRC32_H
#define HILDA_CRC32_H
#include <stddef.h>
#include <stdint.h>

uint32_t crc32(uint32_t crc, const void *bytes, size_t count);

#endif
