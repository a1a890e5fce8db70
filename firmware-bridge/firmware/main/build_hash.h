/* SHA-256 over the firmware's sources, the compiler's version and its flags: scripts/build-firmware.sh defines it. */
#ifndef HILDA_BUILD_HASH_H
#define HILDA_BUILD_HASH_H
#include <stdint.h>

#ifndef HILDA_BUILD_HASH
#define HILDA_BUILD_HASH 0
#endif

static const uint8_t build_hash[32] = {HILDA_BUILD_HASH};

#endif
