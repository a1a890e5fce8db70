/* What a USB device says of itself: one serial port of class CDC, abstract control model (USB 2.0, 9.6; CDC 1.2; PSTN 1.2). */
#ifndef HILDA_USB_DESCRIPTORS_H
#define HILDA_USB_DESCRIPTORS_H
#include <stdint.h>

typedef struct {
    uint16_t vendor_id, product_id;
    const char *manufacturer, *product;
} usb_identity;

enum { USB_PACKET_BYTES = 64, USB_NOTIFY_ENDPOINT = 1, USB_DATA_ENDPOINT = 2 };

/* The descriptor that a request's value names, valid until the next call; 0 where there is none. */
const uint8_t *usb_descriptor(const usb_identity *identity, uint16_t value, uint32_t *bytes);

#endif
