#include "rp-usb.h"

#include <string.h>

#include "../board.h"
#include "cortex.h"
#include "rp-usb-control.h"

/* Section numbers are those of the RP2040 data sheet. */
enum { MEMORY = 0x50100000, CONTROLLER = 0x50110000 };
#define ADDRESS REGISTER(CONTROLLER)
#define MAIN_CONTROL REGISTER(CONTROLLER + 0x40)
#define BUS_CONTROL REGISTER(CONTROLLER + 0x4c)
#define BUS_STATUS REGISTER(CONTROLLER + 0x50)
#define BUFFERS_DONE REGISTER(CONTROLLER + 0x58)
#define STALL_ARMED REGISTER(CONTROLLER + 0x68)
#define MUXING REGISTER(CONTROLLER + 0x74)
#define POWER REGISTER(CONTROLLER + 0x78)
#define INTERRUPTS REGISTER(CONTROLLER + 0x90)
/* 4.1.2.5: of each endpoint but 0, and of each buffer. */
#define ENDPOINT_CONTROL(buffer) REGISTER(MEMORY + 4 * (buffer))
#define BUFFER_CONTROL(buffer) REGISTER(MEMORY + 0x80 + 4 * (buffer))

enum { SETUP_CAME = 1 << 17, BUS_RESET = 1 << 19 };
enum { LENGTH = 0x3ff, AVAILABLE = 1 << 10, STALL = 1 << 11, DATA1 = 1 << 13, FULL = 1 << 15 };
enum { BULK = 2, INTERRUPT = 3 };
enum { PATIENCE_US = 1000000 };

/* The controller's memory behind its tables. */
static const uint16_t offset_of[USB_BUFFERS] = {0x100, 0x100, 0x180, 0, 0x1c0, 0x200};

static uint8_t toggle[USB_BUFFERS];
static uint8_t configured;
/* The host's packet lies in the controller; ours has not been taken yet; nor was it for long. */
static uint8_t came, in_flight, ignored;
static union {
    uint32_t words[USB_PACKET_BYTES / 4];
    uint8_t bytes[USB_PACKET_BYTES];
} received, sent;
static uint32_t received_bytes, taken, sent_bytes;

void usb_arm(uint32_t buffer, const uint8_t *from, uint32_t bytes)
{
    const int to_host = !(buffer & 1);
    uint32_t words[USB_PACKET_BYTES / 4];
    if (to_host && bytes > 0) {
        memcpy(words, from, bytes);
        for (uint32_t i = 0; i < (bytes + 3) / 4; i++) REGISTER(MEMORY + offset_of[buffer] + 4 * i) = words[i];
    }
    const uint32_t control = bytes | (to_host ? FULL : 0) | (toggle[buffer] ? DATA1 : 0);
    toggle[buffer] ^= 1;
    BUFFER_CONTROL(buffer) = control;
    /* 4.1.2.5.1: the controller's clock is slower; it must find the rest settled. */
    for (uint32_t i = 0; i < 4; i++) __asm volatile("nop\n nop\n nop");
    BUFFER_CONTROL(buffer) = control | AVAILABLE;
}

uint32_t usb_take(uint32_t buffer, uint32_t words[USB_PACKET_BYTES / 4])
{
    const uint32_t length = BUFFER_CONTROL(buffer) & LENGTH;
    const uint32_t bytes = length < USB_PACKET_BYTES ? length : USB_PACKET_BYTES;
    for (uint32_t i = 0; i < (bytes + 3) / 4; i++) words[i] = REGISTER(MEMORY + offset_of[buffer] + 4 * i);
    return bytes;
}

void usb_restart_control(void)
{
    BUFFER_CONTROL(EP0_IN) = 0;
    BUFFER_CONTROL(EP0_OUT) = 0;
    toggle[EP0_IN] = toggle[EP0_OUT] = 1;
}

/* The next SETUP disarms it (4.1.2.5.4). */
void usb_stall_control(void)
{
    STALL_ARMED = 3;
    BUFFER_CONTROL(EP0_OUT) = STALL;
    BUFFER_CONTROL(EP0_IN) = STALL;
}

void usb_set_address(uint8_t address) { ADDRESS = address; }

static void enable(uint32_t buffer, uint32_t kind)
{
    BUFFER_CONTROL(buffer) = 0;
    toggle[buffer] = 0;
    ENDPOINT_CONTROL(buffer) = configured ? 1u << 31 | 1u << 29 | kind << 26 | offset_of[buffer] : 0;
}

void usb_configure(uint8_t on)
{
    configured = on;
    came = in_flight = ignored = 0;
    received_bytes = taken = sent_bytes = 0;
    enable(NOTIFY_IN, INTERRUPT);
    enable(DATA_IN, BULK);
    enable(DATA_OUT, BULK);
    if (on) usb_arm(DATA_OUT, 0, USB_PACKET_BYTES);
}

void usb_clear_halt(uint8_t endpoint)
{
    const uint8_t is_in = endpoint >> 7;
    if (!configured || (endpoint & 0x7f) != USB_DATA_ENDPOINT) return;
    const uint32_t buffer = is_in ? DATA_IN : DATA_OUT;
    /* What was armed goes with the new number; the packet that came keeps its own. */
    const uint32_t control = BUFFER_CONTROL(buffer);
    toggle[buffer] = 0;
    if (!(control & AVAILABLE)) return;
    BUFFER_CONTROL(buffer) = 0;
    toggle[buffer] = 1;
    for (uint32_t i = 0; i < 4; i++) __asm volatile("nop\n nop\n nop");
    BUFFER_CONTROL(buffer) = control & ~(uint32_t)DATA1;
}

static void bus_reset(void)
{
    BUFFERS_DONE = 0xffffffff;
    usb_configure(0);
    usb_restart_control();
    control_reset();
    BUS_STATUS = BUS_RESET;
}

static void buffers_done(uint32_t which)
{
    if (which & 1u << EP0_IN) control_sent();
    if (which & 1u << EP0_OUT) control_received();
    if (which & 1u << DATA_IN) in_flight = ignored = 0;
    if (which & 1u << DATA_OUT) came = 1;
}

/* What a SETUP follows was over before it: packets are looked at in between. */
static void look(void)
{
    const uint32_t status = BUS_STATUS;
    if (status & BUS_RESET) bus_reset();
    const uint32_t done = BUFFERS_DONE;
    if (done) {
        BUFFERS_DONE = done;
        buffers_done(done);
    }
    if (!(status & SETUP_CAME)) return;
    BUS_STATUS = SETUP_CAME;
    const uint32_t packet[2] = {REGISTER(MEMORY), REGISTER(MEMORY + 4)};
    control_setup(packet);
}

int rp_usb_receive(void)
{
    if (taken == received_bytes) {
        look();
        if (!came) return -1;
        came = 0;
        taken = 0;
        received_bytes = usb_take(DATA_OUT, received.words);
        usb_arm(DATA_OUT, 0, USB_PACKET_BYTES);
        if (received_bytes == 0) return -1;
    }
    return received.bytes[taken++];
}

/* Unplugged, suspended or not read: the host hears nothing, and the board goes on. */
void rp_usb_flush(void)
{
    const uint32_t since = REGISTER(rp_usb.micros);
    while (in_flight && !ignored) {
        look();
        if (REGISTER(rp_usb.micros) - since > PATIENCE_US) ignored = in_flight;
    }
}

static void send_packet(void)
{
    rp_usb_flush();
    const uint32_t bytes = sent_bytes;
    sent_bytes = 0;
    if (!configured || in_flight) return;
    usb_arm(DATA_IN, sent.bytes, bytes);
    in_flight = 1;
}

void rp_usb_send(uint8_t byte)
{
    if (!configured) return;
    sent.bytes[sent_bytes++] = byte;
    /* A transfer ends with a packet that is not full, an empty one where need be. */
    if (sent_bytes == USB_PACKET_BYTES) send_packet();
    if (byte == 0) send_packet();
}

void rp_usb_start(void)
{
    for (uint32_t at = 0; at < 0x100; at += 4) REGISTER(MEMORY + at) = 0;
    MUXING = 1u << 0 | 1u << 3;
    /* The Pico does not tell whether there is power on the plug. */
    POWER = 1u << 2 | 1u << 3;
    MAIN_CONTROL = 1;
    INTERRUPTS = 1u << 4 | 1u << 12 | 1u << 16;
    BUS_CONTROL = 1u << 29 | 1u << 16;
}
