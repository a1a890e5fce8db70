/* The whole firmware but for `main`: requests with sound frames, in a session of their own. An input is a list of requests:
 * kind, length of two bytes, payload. Kind 0 sends its payload as it is, without a frame. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "../../../firmware-bridge/firmware/boards/board.h"
#include "../../../firmware-bridge/firmware/link/frame.h"
#include "../../../firmware-bridge/firmware/link/session.h"
#include "../../../firmware-bridge/firmware/main/commands.h"
#include "../../../firmware-bridge/firmware/main/storage.h"
#include "../../../firmware-bridge/firmware/main/work.h"
#include "guided.h"

enum { KB = 1024, SLOT = 32 * KB, POOL = 8 * KB, ERASE = 4096, LINE_MOST = 4 * INPUT_MOST };
/* A run may look at the line so often after the last request; then the power is cut. */
enum { MOST_LOOKS = 2000 };

static uint8_t flash[2 * SLOT + POOL] __attribute__((aligned(16)));
uint8_t work_memory[HILDA_WORK_BYTES] __attribute__((aligned(16)));
static uint8_t line[LINE_MOST];
static uint32_t line_count, line_at, looks, ticks;
static jmp_buf power_off;

const board_facts board = {
    .name = "fuzz",
    .core_hz = 100000000,
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

int board_receive(void) {
  if (line_at < line_count) return line[line_at++];
  if (++looks > MOST_LOOKS) longjmp(power_off, 1);
  return -1;
}

static frame_decoder host;

/* The host's end: what the board sends must be frames. */
void board_send(uint8_t byte) {
  frame got;
  (void)frame_feed(&host, byte, &got);
  if (host.dropped) abort();
}

int board_erase(uint8_t *unit) {
  if (unit < flash || unit + ERASE > flash + sizeof flash || (unit - flash) % ERASE) abort();
  memset(unit, 0xff, ERASE);
  return 0;
}

int board_program(uint8_t *page, const uint8_t bytes[STORAGE_PAGE_BYTES]) {
  if (page < flash || page + STORAGE_PAGE_BYTES > flash + sizeof flash || (page - flash) % STORAGE_PAGE_BYTES) abort();
  for (uint32_t i = 0; i < STORAGE_PAGE_BYTES; i++) page[i] &= bytes[i];
  return memcmp(page, bytes, STORAGE_PAGE_BYTES) == 0 ? 0 : -1;
}

void board_restart(void) { longjmp(power_off, 1); }
uint8_t board_reset_reason(void) { return RESET_POWER; }
void board_chip_id(uint8_t id[16]) { memset(id, 0x5a, 16); }
uint32_t board_cpuid(void) { return 0; }
uint32_t board_clock_ppm(void) { return 100; }
void board_flush(void) {}
void board_wait(void) {}
void board_ticks_start(void) {}
void board_ticks_stop(void) {}
uint32_t board_ticks(void) { return ticks += 20000; }
void board_watchdog_start(void) {}
void board_watchdog_kick(void) {}
void board_watchdog_stop(void) {}

static void put(uint8_t byte) {
  if (line_count < LINE_MOST) line[line_count++] = byte;
}

static void ask(uint8_t kind, uint16_t number, uint32_t session, const uint8_t *payload, uint32_t bytes) {
  static uint8_t body[FRAME_MAX_BYTES];
  if (bytes) memcpy(body + FRAME_HEADER_BYTES, payload, bytes);
  frame_send(body, kind, number, session, bytes, put);
}

void target_run(const uint8_t *bytes, uint32_t count) {
  static uint32_t session = 1;
  session++;
  line_count = line_at = looks = 0;
  memset(&host, 0, sizeof host);
  uint16_t number = 1;
  /* What an earlier input left open is closed. */
  put(0);
  ask(KIND_HELLO, number++, session, 0, 0);
  for (uint32_t at = 0; at + 3 <= count;) {
    const uint8_t kind = bytes[at];
    uint32_t length = bytes[at + 1] | (uint32_t)bytes[at + 2] << 8;
    at += 3;
    if (length > count - at) length = count - at;
    if (length > FRAME_MAX_PAYLOAD) length = FRAME_MAX_PAYLOAD;
    if (kind) ask(kind, number++, session, bytes + at, length);
    else for (uint32_t i = 0; i < length; i++) put(bytes[at + i]);
    at += length;
  }
  if (setjmp(power_off) == 0) {
    /* As after a start, over the flash that earlier inputs left. */
    storage_start();
    commands_start(RESET_POWER, 0);
    request asked;
    while (session_deferred(&asked) || session_poll(&asked)) serve_request(&asked);
  }
}
