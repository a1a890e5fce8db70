/* The USB device controller of the RP2040 and the RP2350, the same block at the same addresses (RP2040 data sheet 4.1, RP2350
   data sheet 12.7), as one serial port. Polled: nothing happens but in these functions, so that nothing of it is counted. */
#ifndef HILDA_RP_USB_H
#define HILDA_RP_USB_H
#include <stdint.h>

#include "usb-descriptors.h"

typedef struct {
    usb_identity identity;
    /* A register that counts microseconds. */
    uint32_t micros;
} rp_usb_map;

extern const rp_usb_map rp_usb;

/* The controller's clock runs at 48 MHz and its reset is over. Connects to the bus. */
void rp_usb_start(void);
/* The next byte that the host sent, or -1; serves the bus. A packet stays in the controller, and the host's next one is
   refused for now (NAK), until all bytes of the former one were taken. */
int rp_usb_receive(void);
/* Bytes leave in packets of 64, and with each zero byte, which ends a frame. Given up where the host takes nothing for 1 s. */
void rp_usb_send(uint8_t byte);
/* Returns once the host has taken what was sent. */
void rp_usb_flush(void);

#endif
