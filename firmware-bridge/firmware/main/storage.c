#include "storage.h"

#include <string.h>

#include "../boards/board.h"
#include "../link/codes.h"
#include "../link/crc32.h"
#include "../link/wire.h"
#include "work.h"
#include "working.h"

/* First page of a place: magic, sequence, bytes, crc of the program, crc of this header. Written last, in one page:
   whatever happens before leaves a place that is not valid. */
enum { DEPLOYED_MAGIC = 0x50454448, HEADER_BYTES = 20 };
/* Last page of the pool: magic, seed, crc. */
enum { POOL_MAGIC = 0x4c4f4f50, POOL_NOTE_BYTES = 12 };
/* So much of the pool is written between two looks at the line: at most a tenth of a second on any board. */
enum { PROGRESS_BYTES = 4096 };

typedef struct {
    stored_program program;
    uint32_t sequence;
} deployment;

typedef struct {
    uint8_t slot, active, complete;
    uint8_t place;
    uint32_t bytes, crc, received;
} upload;

static upload current;
static stored_program in_ram, staged;
static deployment deployed;
static int deployed_place;
static uint32_t pool_seed;
static uint8_t page[STORAGE_PAGE_BYTES];

static uint32_t round_up(uint32_t bytes, uint32_t unit) { return (bytes + unit - 1) / unit * unit; }

static deployment look(const uint8_t *place)
{
    const deployment none = {{0, 0, 0}, 0};
    const uint32_t bytes = wire_get32(place + 8);
    const uint8_t *program = place + STORAGE_PAGE_BYTES;
    if (wire_get32(place) != DEPLOYED_MAGIC || crc32(0, place, HEADER_BYTES - 4) != wire_get32(place + 16)) return none;
    if (bytes > board.slot_bytes - STORAGE_PAGE_BYTES || crc32(0, program, bytes) != wire_get32(place + 12)) return none;
    return (deployment){{program, bytes, wire_get32(place + 12)}, wire_get32(place + 4)};
}

static const uint8_t *pool_note(void) { return board.pool + board.pool_bytes - STORAGE_PAGE_BYTES; }

void storage_start(void)
{
    const deployment first = look(board.slot[0]), second = look(board.slot[1]);
    deployed_place = second.program.program && (!first.program.program || second.sequence > first.sequence);
    deployed = deployed_place ? second : first;
    const uint8_t *note = pool_note();
    const int filled = wire_get32(note) == POOL_MAGIC && crc32(0, note, 8) == wire_get32(note + 8);
    pool_seed = filled ? wire_get32(note + 4) : 0;
}

stored_program storage_program(uint8_t slot)
{
    if (slot == SLOT_RAM) return in_ram;
    if (slot == SLOT_DEPLOYED) return deployed.program;
    if (slot == SLOT_STAGED) return staged;
    return (stored_program){0, 0, 0};
}

uint32_t storage_sequence(void) { return deployed.sequence; }

void storage_drop_ram(void)
{
    in_ram = (stored_program){0, 0, 0};
    if (current.slot == SLOT_RAM) current.active = 0;
}

uint32_t storage_ram_bytes(void)
{
    return current.active && current.slot == SLOT_RAM ? round_up(current.bytes, 16) : round_up(in_ram.bytes, 16);
}

static uint8_t *place(void) { return board.slot[current.place]; }

/* Where the program's first byte goes. */
static uint8_t *base(void)
{
    return current.slot == SLOT_RAM ? work_end - round_up(current.bytes, 16) : place() + STORAGE_PAGE_BYTES;
}

uint8_t storage_begin(uint8_t slot, uint32_t bytes, uint32_t crc, uint32_t *received, uint32_t *detail)
{
    if (slot > SLOT_STAGED || bytes == 0) return LINK_MALFORMED;
    const int same = current.active && current.slot == slot && current.bytes == bytes && current.crc == crc;
    if (!same) {
        const uint32_t fits = slot == SLOT_RAM ? work_bytes() & ~15u : board.slot_bytes - STORAGE_PAGE_BYTES;
        *detail = fits;
        if (bytes > fits) return LINK_TOO_LARGE;
        if (slot == SLOT_RAM) in_ram = (stored_program){0, 0, 0};
        else staged = (stored_program){0, 0, 0};
        current = (upload){slot, 1, 0, (uint8_t)(deployed.program.program ? !deployed_place : 0), bytes, crc, 0};
        /* Nothing may be taken for a deployment while the place is written. */
        if (slot != SLOT_RAM) {
            working(0, 1);
            if (board_erase(place()) != 0) {
                current.active = 0;
                return LINK_STORAGE;
            }
        }
    }
    *received = current.received;
    return LINK_OK;
}

/* Flash is erased when the upload first reaches a unit, so that no single request takes long. */
static int to_flash(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = current.received + i;
        page[at % STORAGE_PAGE_BYTES] = bytes[i];
        const int full = at % STORAGE_PAGE_BYTES == STORAGE_PAGE_BYTES - 1;
        if (!full && at + 1 != current.bytes) continue;
        uint8_t *target = base() + at / STORAGE_PAGE_BYTES * STORAGE_PAGE_BYTES;
        if (!full) memset(page + at % STORAGE_PAGE_BYTES + 1, 0xff, STORAGE_PAGE_BYTES - 1 - at % STORAGE_PAGE_BYTES);
        if ((uint32_t)(target - place()) % board.erase_bytes == 0) {
            working(at, current.bytes);
            if (board_erase(target) != 0) return -1;
        }
        if (board_program(target, page) != 0) return -1;
    }
    return 0;
}

uint8_t storage_data(uint32_t offset, const uint8_t *bytes, uint32_t count, uint32_t *received)
{
    if (!current.active) return LINK_NO_PROGRAM;
    *received = current.received;
    if (offset > current.bytes || count > current.bytes - offset) return LINK_RANGE;
    if (offset > current.received) return LINK_ORDER;
    const uint32_t known = current.received - offset;
    if (known >= count) return LINK_OK;
    if (current.slot == SLOT_RAM) memcpy(base() + current.received, bytes + known, count - known);
    else if (to_flash(bytes + known, count - known) != 0) {
        current.active = 0;
        return LINK_STORAGE;
    }
    current.received = offset + count;
    *received = current.received;
    return LINK_OK;
}

uint8_t storage_finish(uint8_t *slot)
{
    if (!current.active) return LINK_NO_PROGRAM;
    if (current.received != current.bytes) return LINK_ORDER;
    const stored_program whole = {base(), current.bytes, current.crc};
    if (crc32(0, whole.program, whole.bytes) != whole.crc) {
        current.active = 0;
        return LINK_CHECKSUM;
    }
    *slot = current.slot;
    current.complete = 1;
    if (current.slot == SLOT_RAM) in_ram = whole;
    else staged = whole;
    return LINK_OK;
}

void storage_refuse(void)
{
    if (current.slot == SLOT_RAM) in_ram = (stored_program){0, 0, 0};
    else staged = (stored_program){0, 0, 0};
    current.active = current.complete = 0;
}

uint8_t storage_commit(void)
{
    if (!current.active || !current.complete || current.slot != SLOT_DEPLOYED) return LINK_NO_PROGRAM;
    if (deployed.program.program == base()) return LINK_OK; /* asked again: the first reply was lost */
    const uint32_t sequence = deployed.sequence + 1;
    memset(page, 0xff, sizeof page);
    uint8_t *at = wire_put32(wire_put32(page, DEPLOYED_MAGIC), sequence);
    at = wire_put32(wire_put32(at, current.bytes), current.crc);
    wire_put32(at, crc32(0, page, HEADER_BYTES - 4));
    working(0, 1);
    if (board_program(place(), page) != 0) return LINK_STORAGE;
    const deployment now = look(place());
    if (!now.program.program) return LINK_STORAGE;
    deployed = now;
    deployed_place = current.place;
    return LINK_OK;
}

uint8_t storage_erase(void)
{
    current.active = 0;
    staged = (stored_program){0, 0, 0};
    /* The older place first: power that fails in between must not bring it back. */
    uint8_t *order[2] = {board.slot[!deployed_place], board.slot[deployed_place]};
    for (uint32_t i = 0; i < 2; i++) {
        working(i, 2);
        if (board_erase(order[i]) != 0) return LINK_STORAGE;
    }
    deployed = (deployment){{0, 0, 0}, 0};
    return LINK_OK;
}

uint32_t storage_pool_seed(void) { return pool_seed; }

static uint32_t next_word(uint32_t word)
{
    word ^= word << 13;
    word ^= word >> 17;
    return word ^ word << 5;
}

/* Only as a whole: the note at its end vouches for every byte. Asked again, since the reply was lost, it is there. */
uint8_t storage_fill_pool(uint32_t offset, uint32_t bytes, uint32_t seed, uint32_t *crc)
{
    const uint32_t usable = board.pool_bytes - STORAGE_PAGE_BYTES;
    if (offset != 0 || bytes != usable || seed == 0) return LINK_RANGE;
    if (seed == pool_seed) {
        *crc = crc32(0, board.pool, usable);
        return LINK_OK;
    }
    const uint32_t parts = 2 * board.pool_bytes / PROGRESS_BYTES;
    uint32_t word = seed;
    pool_seed = 0;
    *crc = 0;
    for (uint8_t *unit = board.pool + board.pool_bytes; unit > board.pool;) {
        if (!working((uint32_t)(board.pool + board.pool_bytes - unit) / PROGRESS_BYTES, parts)) return LINK_CANCELLED;
        unit -= board.erase_bytes;
        if (board_erase(unit) != 0) return LINK_STORAGE;
    }
    for (uint32_t at = 0; at < usable; at += STORAGE_PAGE_BYTES) {
        if (at % PROGRESS_BYTES == 0 && !working(parts / 2 + at / PROGRESS_BYTES, parts)) return LINK_CANCELLED;
        for (uint32_t i = 0; i < STORAGE_PAGE_BYTES; i += 4) {
            word = next_word(word);
            wire_put32(page + i, word);
        }
        if (board_program(board.pool + at, page) != 0) return LINK_STORAGE;
    }
    *crc = crc32(0, board.pool, usable);
    memset(page, 0xff, sizeof page);
    wire_put32(wire_put32(page, POOL_MAGIC), seed);
    wire_put32(page + 8, crc32(0, page, 8));
    if (board_program(board.pool + usable, page) != 0) return LINK_STORAGE;
    pool_seed = seed;
    return LINK_OK;
}
