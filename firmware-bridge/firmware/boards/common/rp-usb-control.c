/* Control requests: chapter 9 of USB 2.0 and those of a CDC serial port (PSTN 1.2, 6.3). */
#include "rp-usb-control.h"

#include <string.h>

#include "../board.h"
#include "../../link/wire.h"
#include "rp-usb.h"

/* Type of the request, and its number in the upper byte. */
enum {
    GET_DEVICE_STATUS = 0x0080,
    GET_INTERFACE_STATUS = 0x0081,
    GET_ENDPOINT_STATUS = 0x0082,
    CLEAR_ENDPOINT_FEATURE = 0x0102,
    SET_ADDRESS = 0x0500,
    GET_DESCRIPTOR = 0x0680,
    GET_CONFIGURATION = 0x0880,
    SET_CONFIGURATION = 0x0900,
    GET_INTERFACE = 0x0a81,
    SET_INTERFACE = 0x0b01,
};
enum { CLASS = 0x20, KIND_OF_TYPE = 0x60, SET_LINE_CODING = 0x20, GET_LINE_CODING = 0x21, SET_LINES = 0x22, SEND_BREAK = 0x23 };
enum { LINE_CODING_BYTES = 7, DTR = 1, TOUCH_BAUD = 1200 };

typedef enum { IDLE, SENDING, RECEIVING, ANSWERED } stage_of;

static struct {
    stage_of stage;
    const uint8_t *next;
    uint32_t left;
    /* The data end with a packet that is not full. */
    uint8_t ends_full;
    uint8_t address, configured, dtr;
    /* What is due once the host has the answer. */
    uint8_t address_due, loader_due;
} now;

/* 115,200 baud, one stop bit, no parity, 8 bits. The line has no rate; the host reads back what it has set. */
static uint8_t line_coding[LINE_CODING_BYTES] = {0x00, 0xc2, 0x01, 0x00, 0, 0, 8};
static uint8_t answer[2];

void control_reset(void)
{
    memset(&now, 0, sizeof now);
    usb_set_address(0);
}

static void send_next(void)
{
    const uint32_t part = now.left < USB_PACKET_BYTES ? now.left : USB_PACKET_BYTES;
    usb_arm(EP0_IN, now.next, part);
    now.next += part;
    now.left -= part;
    if (part < USB_PACKET_BYTES) now.ends_full = 0;
}

static void send_data(const uint8_t *from, uint32_t bytes, uint32_t asked)
{
    now.stage = SENDING;
    now.next = from;
    now.left = bytes < asked ? bytes : asked;
    /* The host goes on asking where a full packet was the last and it had asked for more. */
    now.ends_full = bytes < asked;
    send_next();
}

/* An empty packet: the request was served. */
static void acknowledge(void)
{
    now.stage = ANSWERED;
    usb_arm(EP0_IN, 0, 0);
}

void control_sent(void)
{
    if (now.stage == SENDING) {
        if (now.left > 0 || now.ends_full) return send_next();
        now.stage = IDLE;
        usb_arm(EP0_OUT, 0, 0);
        return;
    }
    if (now.stage != ANSWERED) return;
    now.stage = IDLE;
    if (now.address_due) usb_set_address(now.address);
    now.address_due = 0;
    if (now.loader_due) board.enter_loader();
}

void control_received(void)
{
    if (now.stage != RECEIVING) return;
    uint32_t words[16];
    if (usb_take(EP0_OUT, words) == LINE_CODING_BYTES) memcpy(line_coding, words, LINE_CODING_BYTES);
    acknowledge();
}

/* A port that is opened at 1200 baud and closed: the customary way to ask for the boot loader. */
static void set_lines(uint16_t lines)
{
    const uint8_t dtr = lines & DTR;
    now.loader_due = now.dtr && !dtr && wire_get32(line_coding) == TOUCH_BAUD;
    now.dtr = dtr;
    acknowledge();
}

static void serve_class(uint8_t number, uint16_t value, uint16_t length)
{
    if (number == SET_LINE_CODING && length == LINE_CODING_BYTES) {
        now.stage = RECEIVING;
        usb_arm(EP0_OUT, 0, USB_PACKET_BYTES);
    } else if (number == GET_LINE_CODING) {
        send_data(line_coding, sizeof line_coding, length);
    } else if (number == SET_LINES) {
        set_lines(value);
    } else if (number == SEND_BREAK) {
        acknowledge();
    } else {
        usb_stall_control();
    }
}

static void serve_standard(uint16_t request, uint16_t value, uint16_t index, uint16_t length)
{
    uint32_t bytes = 0;
    const uint8_t *descriptor;
    answer[0] = answer[1] = 0;
    switch (request) {
    case GET_DESCRIPTOR:
        descriptor = usb_descriptor(&rp_usb.identity, value, &bytes);
        if (!descriptor) return usb_stall_control();
        return send_data(descriptor, bytes, length);
    case SET_ADDRESS:
        /* Only once the host has the answer, which it still awaits from the former address. */
        now.address = value & 0x7f;
        now.address_due = 1;
        return acknowledge();
    case SET_CONFIGURATION:
        if (value > 1) return usb_stall_control();
        now.configured = (uint8_t)value;
        usb_configure(now.configured);
        return acknowledge();
    case GET_CONFIGURATION:
        answer[0] = now.configured;
        return send_data(answer, 1, length);
    case GET_INTERFACE:
        return send_data(answer, 1, length);
    case GET_DEVICE_STATUS:
    case GET_INTERFACE_STATUS:
    case GET_ENDPOINT_STATUS:
        return send_data(answer, 2, length);
    case SET_INTERFACE:
        if (value != 0) return usb_stall_control();
        return acknowledge();
    case CLEAR_ENDPOINT_FEATURE:
        usb_clear_halt((uint8_t)index);
        return acknowledge();
    default:
        return usb_stall_control();
    }
}

void control_setup(const uint32_t packet[2])
{
    const uint16_t request = (uint16_t)packet[0], value = (uint16_t)(packet[0] >> 16);
    const uint16_t index = (uint16_t)packet[1], length = (uint16_t)(packet[1] >> 16);
    now.stage = IDLE;
    now.address_due = now.loader_due = 0;
    usb_restart_control();
    if ((request & KIND_OF_TYPE) == CLASS) serve_class((uint8_t)(request >> 8), value, length);
    else serve_standard(request, value, index, length);
}
