/* Kinds and error codes of LINK.md. */
#ifndef HILDA_CODES_H
#define HILDA_CODES_H

enum { LINK_VERSION = 2 };

enum {
    KIND_HELLO = 0x01,
    KIND_PING = 0x02,
    KIND_ECHO = 0x03,
    KIND_FILL = 0x04,
    KIND_READ = 0x05,
    KIND_WRITE = 0x06,
    KIND_BEGIN = 0x07,
    KIND_DATA = 0x08,
    KIND_FINISH = 0x09,
    KIND_COMMIT = 0x0a,
    KIND_RUN = 0x0b,
    KIND_TICKS = 0x0c,
    KIND_CANCEL = 0x0d,
    KIND_RESET = 0x0e,
    KIND_ERASE = 0x0f,
    KIND_REPORT = 0x10,
    KIND_LOADER = 0x11,
    KIND_LOG = 0x70,
    KIND_BOOT = 0x71,
    KIND_WANT = 0x72,
    KIND_PROGRESS = 0x73,
    KIND_REPLY = 0x80,
    KIND_ERROR = 0xff,
};

enum {
    LINK_OK = 0,
    LINK_SESSION = 1,
    LINK_REPLAYED = 2,
    LINK_UNKNOWN = 3,
    LINK_MALFORMED = 4,
    LINK_BUSY = 5,
    LINK_RANGE = 6,
    LINK_ORDER = 7,
    LINK_CHECKSUM = 8,
    LINK_NO_PROGRAM = 9,
    LINK_STORAGE = 10,
    LINK_REFUSED = 11,
    LINK_TOO_LARGE = 12,
    LINK_CANCELLED = 13,
    LINK_TIME = 14,
};

#endif
