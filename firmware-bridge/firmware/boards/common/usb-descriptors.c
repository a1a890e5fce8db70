#include "usb-descriptors.h"

#include <string.h>

#include "../board.h"

enum { DEVICE = 1, CONFIGURATION = 2, STRING = 3, INTERFACE = 4, ENDPOINT = 5, CLASS_SPECIFIC = 0x24 };
enum { MANUFACTURER = 1, PRODUCT = 2, SERIAL_NUMBER = 3, ENGLISH = 0x0409, CHIP_ID_BYTES = 8 };
enum { INTERRUPT = 3, BULK = 2, IN = 0x80, CONFIGURATION_BYTES = 67 };

static const uint8_t configuration[CONFIGURATION_BYTES] = {
    /* Two interfaces, powered by the bus with up to 100 mA. */
    9, CONFIGURATION, CONFIGURATION_BYTES, 0, 2, 1, 0, 0x80, 50,
    /* Interface 0, communication: class 2, abstract control model, no protocol of a modem. */
    9, INTERFACE, 0, 0, 1, 2, 2, 0, 0,
    /* CDC 1.20; no call management; line coding and control lines are understood; 0 controls 1. */
    5, CLASS_SPECIFIC, 0, 0x20, 0x01,
    5, CLASS_SPECIFIC, 1, 0, 1,
    4, CLASS_SPECIFIC, 2, 2,
    5, CLASS_SPECIFIC, 6, 0, 1,
    7, ENDPOINT, IN | USB_NOTIFY_ENDPOINT, INTERRUPT, 8, 0, 16,
    /* Interface 1, data. */
    9, INTERFACE, 1, 0, 2, 10, 0, 0, 0,
    7, ENDPOINT, USB_DATA_ENDPOINT, BULK, USB_PACKET_BYTES, 0, 0,
    7, ENDPOINT, IN | USB_DATA_ENDPOINT, BULK, USB_PACKET_BYTES, 0, 0,
};

static uint8_t built[USB_PACKET_BYTES];

/* 0 where the board has no number of its own: another board's must not look the same. */
static uint32_t chip_digits(char digits[2 * CHIP_ID_BYTES])
{
    uint8_t id[16], any = 0;
    board_chip_id(id);
    for (uint32_t i = 0; i < CHIP_ID_BYTES; i++) {
        any |= id[i];
        digits[2 * i] = "0123456789ABCDEF"[id[i] >> 4];
        digits[2 * i + 1] = "0123456789ABCDEF"[id[i] & 15];
    }
    return any ? 2 * CHIP_ID_BYTES : 0;
}

static const uint8_t *device(const usb_identity *identity, uint32_t *bytes)
{
    char digits[2 * CHIP_ID_BYTES];
    const uint16_t vendor = identity->vendor_id, product = identity->product_id;
    const uint8_t made[18] = {
        /* USB 2.0, class communication, version 1.0, one configuration. */
        18, DEVICE, 0x00, 0x02, 2, 0, 0, USB_PACKET_BYTES, (uint8_t)vendor, (uint8_t)(vendor >> 8), (uint8_t)product,
        (uint8_t)(product >> 8), 0x00, 0x01, MANUFACTURER, PRODUCT, chip_digits(digits) ? SERIAL_NUMBER : 0, 1,
    };
    memcpy(built, made, sizeof made);
    *bytes = sizeof made;
    return built;
}

/* UTF-16, cut to what fits in one packet. */
static const uint8_t *text(const char *from, uint32_t count, uint32_t *bytes)
{
    const uint32_t most = (USB_PACKET_BYTES - 2) / 2;
    if (count > most) count = most;
    *bytes = 2 + 2 * count;
    built[0] = (uint8_t)*bytes;
    built[1] = STRING;
    for (uint32_t i = 0; i < count; i++) {
        built[2 + 2 * i] = (uint8_t)from[i];
        built[3 + 2 * i] = 0;
    }
    return built;
}

static const uint8_t *string(const usb_identity *identity, uint8_t index, uint32_t *bytes)
{
    if (index == MANUFACTURER) return text(identity->manufacturer, strlen(identity->manufacturer), bytes);
    if (index == PRODUCT) return text(identity->product, strlen(identity->product), bytes);
    if (index == SERIAL_NUMBER) {
        char digits[2 * CHIP_ID_BYTES];
        const uint32_t count = chip_digits(digits);
        return count ? text(digits, count, bytes) : 0;
    }
    if (index != 0) return 0;
    built[0] = *bytes = 4;
    built[1] = STRING;
    built[2] = (uint8_t)ENGLISH;
    built[3] = ENGLISH >> 8;
    return built;
}

const uint8_t *usb_descriptor(const usb_identity *identity, uint16_t value, uint32_t *bytes)
{
    const uint8_t kind = (uint8_t)(value >> 8), index = (uint8_t)value;
    if (kind == DEVICE && index == 0) return device(identity, bytes);
    if (kind == STRING) return string(identity, index, bytes);
    if (kind != CONFIGURATION || index != 0) return 0;
    *bytes = sizeof configuration;
    return configuration;
}
