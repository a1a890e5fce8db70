#include "dwt-board.h"

#include "../board.h"
#include "cortex.h"

static uint8_t watched;

void board_wait(void)
{
    if (watched) board_watchdog_kick();
}

void board_watchdog_start(void)
{
    if (!watched) watchdog_begin();
    watched = 1;
    board_watchdog_kick();
}

void board_watchdog_stop(void) {}

void board_ticks_start(void) { DWT_CYCCNT = 0; }
uint32_t board_ticks(void) { return DWT_CYCCNT; }
void board_ticks_stop(void) {}

void board_restart(void) { restart_core(); }
