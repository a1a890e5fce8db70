/* What boards with a debug unit and a watchdog that cannot be stopped have in common: cycles by DWT, restart by the core,
   and idle time that goes on kicking the watchdog. */
#ifndef HILDA_DWT_BOARD_H
#define HILDA_DWT_BOARD_H

/* Sets the watchdog going, with 4 s; called once. The port's. */
void watchdog_begin(void);

#endif
