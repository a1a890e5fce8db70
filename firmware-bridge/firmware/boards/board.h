/* What a port provides: one folder with this interface, a linker script and board.sh. */
#ifndef HILDA_BOARD_H
#define HILDA_BOARD_H
#include <stdint.h>

enum { RESET_POWER = 0, RESET_ASKED = 1, RESET_WATCHDOG = 2, RESET_FAULT = 3 };
/* Cycles of the core, a clock beside it, or instructions of an emulator. */
enum { TICKS_ARE_CYCLES = 0, TICKS_ARE_TIMER = 1, TICKS_ARE_INSTRUCTIONS = 2 };
enum { STORAGE_PAGE_BYTES = 256 };
/* Lines that requests come on, each answered where it came; board.sh defines it where there are several. */
#ifndef HILDA_LINES
#define HILDA_LINES 1
#endif

typedef struct {
    const char *name;
    uint32_t core_hz, ticks_hz;
    uint8_t tick_unit;
    /* Deployments and the weight pool are in flash (survive power) or in RAM that only an emulator has. */
    uint8_t is_flash;
    /* Bytes of unanswered upload the receiver can hold; while flash is written, and otherwise. */
    uint16_t window_bytes, flash_window_bytes;
    /* Two places of one deployment each, and the pool; whole erase units, memory mapped. */
    uint8_t *slot[2];
    uint32_t slot_bytes;
    uint8_t *pool;
    uint32_t pool_bytes;
    uint32_t erase_bytes;
    /* The firmware's own share of the flash. */
    uint32_t firmware_bytes;
    /* Starts the boot loader that takes new firmware, and does not return; 0 where there is none. */
    void (*enter_loader)(void);
} board_facts;

extern const board_facts board;

/* Clocks, line, counter. Called once, before everything else. */
void board_start(void);
/* The reason why the board started; RESET_FAULT is found out by the caller. */
uint8_t board_reset_reason(void);
void board_chip_id(uint8_t id[16]);
uint32_t board_cpuid(void);
/* How far the core's clock may be from `core_hz`, in millionths; 0 where time is counted in instructions. */
uint32_t board_clock_ppm(void);

/* The line that is received from and sent to from now on. */
#if HILDA_LINES > 1
void board_use_line(uint8_t line);
#else
static inline void board_use_line(uint8_t line) { (void)line; }
#endif
/* The next byte of the line, or -1. */
int board_receive(void);
void board_send(uint8_t byte);
/* Returns once every byte of every line has left. */
void board_flush(void);
/* Sleeps until a line, or anything else, wakes the core. May return early. */
void board_wait(void);

/* Starts the counter anew, so that equal runs find it in equal phase; `board_ticks` counts up from about 0, modulo 2^32. */
void board_ticks_start(void);
uint32_t board_ticks(void);
void board_ticks_stop(void);

/* From now on the board restarts unless `board_watchdog_kick` is called every 4 s of the board's own time. */
void board_watchdog_start(void);
void board_watchdog_kick(void);
/* Where the hardware cannot be stopped, the wait goes on kicking. */
void board_watchdog_stop(void);
__attribute__((noreturn)) void board_restart(void);

/* 0 when done. Addresses are multiples of the erase unit and of STORAGE_PAGE_BYTES. */
int board_erase(uint8_t *unit);
int board_program(uint8_t *page, const uint8_t bytes[STORAGE_PAGE_BYTES]);

#endif
