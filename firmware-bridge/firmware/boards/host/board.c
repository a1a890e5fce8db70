/* The firmware as a process of this machine, its line on standard input and output: for tests under sanitizers. The flash
   is the file named by the first argument, or memory. HILDA_CUT=n ends the process in the middle of the n-th write of flash,
   HILDA_ERASE_MS=n makes each erase last so long, HILDA_TICK_SCALE=n lets the counter run n times as
   fast, by the process's own time: a wrap is not missed while another process has the core. */
#include "../../main/work.h"
#include "../board.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KB = 1024, SLOT = 256 * KB, POOL = 64 * KB, ERASE = 4096 };

static uint8_t flash[2 * SLOT + POOL] __attribute__((aligned(16)));
uint8_t work_memory[HILDA_WORK_BYTES] __attribute__((aligned(16)));
static FILE *backing;
static long cut_at, operations, erase_ms, tick_scale;

/* The restart of a board is a new process image; what asked for it comes as an argument. */
static char **arguments;

const board_facts board = {
    .name = "host",
    .core_hz = 1000000000,
    /* 5 s of them stay below 2^32. */
    .ticks_hz = 100000000,
    .tick_unit = TICKS_ARE_TIMER,
    .is_flash = 1,
    .window_bytes = 4096,
    .flash_window_bytes = 2048,
    .slot = {flash, flash + SLOT},
    .slot_bytes = SLOT,
    .pool = flash + 2 * SLOT,
    .pool_bytes = POOL,
    .erase_bytes = ERASE,
    .firmware_bytes = 0,
};

__attribute__((constructor)) static void keep_arguments(int count, char **values)
{
    (void)count;
    arguments = values;
}

void board_start(void)
{
    memset(flash, 0xff, sizeof flash);
    const char *cut = getenv("HILDA_CUT");
    cut_at = cut ? atol(cut) : -1;
    const char *erase = getenv("HILDA_ERASE_MS"), *scale = getenv("HILDA_TICK_SCALE");
    erase_ms = erase ? atol(erase) : 0;
    tick_scale = scale ? atol(scale) : 1;
    if (arguments[1]) {
        backing = fopen(arguments[1], "r+b");
        if (backing) {
            if (fread(flash, 1, sizeof flash, backing) != sizeof flash) memset(flash, 0xff, sizeof flash);
        } else {
            backing = fopen(arguments[1], "w+b");
        }
        if (!backing) exit(2);
    }
}

static void save(uint8_t *from, uint32_t bytes)
{
    if (!backing) return;
    fseek(backing, 0, SEEK_SET);
    if (fwrite(flash, 1, sizeof flash, backing) != sizeof flash) exit(2);
    fflush(backing);
    (void)from;
    (void)bytes;
}

/* Half of it is done when the power fails. */
static uint32_t done_bytes(uint32_t bytes) { return operations++ == cut_at ? bytes / 2 : bytes; }

int board_erase(uint8_t *unit)
{
    const uint32_t bytes = done_bytes(ERASE);
    const struct timespec lasts = {erase_ms / 1000, erase_ms % 1000 * 1000000};
    if (erase_ms > 0) nanosleep(&lasts, 0);
    memset(unit, 0xff, bytes);
    save(unit, bytes);
    if (bytes != ERASE) exit(3);
    return 0;
}

int board_program(uint8_t *page, const uint8_t bytes[STORAGE_PAGE_BYTES])
{
    const uint32_t count = done_bytes(STORAGE_PAGE_BYTES);
    for (uint32_t i = 0; i < count; i++) page[i] &= bytes[i];
    save(page, count);
    if (count != STORAGE_PAGE_BYTES) exit(3);
    return memcmp(page, bytes, STORAGE_PAGE_BYTES) == 0 ? 0 : -1;
}

uint8_t board_reset_reason(void) { return RESET_POWER; }
void board_chip_id(uint8_t id[16]) { memset(id, 0x5a, 16); }
uint32_t board_cpuid(void) { return 0; }

uint32_t board_clock_ppm(void) { return 100; }

static uint8_t input[4096];
static ssize_t filled, taken;

static int refill(void)
{
    taken = 0;
    filled = read(0, input, sizeof input);
    if (filled == 0) exit(0);
    return filled > 0;
}

static uint8_t output[8192];
static size_t pending;

void board_flush(void)
{
    for (size_t at = 0; at < pending;) {
        const ssize_t wrote = write(1, output + at, pending - at);
        if (wrote <= 0) exit(0);
        at += (size_t)wrote;
    }
    pending = 0;
}

void board_send(uint8_t byte)
{
    if (pending == sizeof output) board_flush();
    output[pending++] = byte;
}

void board_wait(void)
{
    board_flush();
    if (taken == filled) refill();
}

/* A run looks at the line without waiting; what it asked the other side for has to leave first. */
int board_receive(void)
{
    if (taken >= filled) {
        struct pollfd line = {.fd = 0, .events = POLLIN};
        board_flush();
        if (poll(&line, 1, 0) <= 0 || !refill()) return -1;
    }
    return input[taken++];
}

void board_ticks_start(void) {}
void board_ticks_stop(void) {}

uint32_t board_ticks(void)
{
    struct timespec at;
    clock_gettime(tick_scale > 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &at);
    return (uint32_t)(((uint64_t)at.tv_sec * board.ticks_hz + (uint64_t)at.tv_nsec / 10u) * (uint64_t)tick_scale);
}

void board_watchdog_start(void) {}
void board_watchdog_kick(void) {}
void board_watchdog_stop(void) {}

void board_restart(void)
{
    board_flush();
    execv("/proc/self/exe", arguments);
    exit(2);
}
