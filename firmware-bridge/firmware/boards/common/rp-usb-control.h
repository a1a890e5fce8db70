/* Between the two halves of the USB port: registers and data (rp-usb.c), control requests (rp-usb-control.c). */
#ifndef HILDA_RP_USB_CONTROL_H
#define HILDA_RP_USB_CONTROL_H
#include <stdint.h>

/* Numbered as the controller does: twice the endpoint, one more for the direction from the host. */
enum { EP0_IN = 0, EP0_OUT = 1, NOTIFY_IN = 2, DATA_IN = 4, DATA_OUT = 5, USB_BUFFERS = 6 };

/* Lets the controller send or receive one packet; `bytes` of it, or at most so many. */
void usb_arm(uint32_t buffer, const uint8_t *from, uint32_t bytes);
/* The packet that came; its length. */
uint32_t usb_take(uint32_t buffer, uint32_t words[16]);
/* Ends what EP0 was at; its next packets are DATA1. */
void usb_restart_control(void);
void usb_stall_control(void);
void usb_set_address(uint8_t address);
/* Starts the data endpoints anew, or ends them. */
void usb_configure(uint8_t configured);
/* The host has cleared an endpoint's halt: its next packet is DATA0. */
void usb_clear_halt(uint8_t endpoint);

void control_reset(void);
void control_setup(const uint32_t packet[2]);
/* A packet of EP0 was sent or has come. */
void control_sent(void);
void control_received(void);

#endif
