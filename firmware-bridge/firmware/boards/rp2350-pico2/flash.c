/* The flash cannot be read while it is written: this runs from RAM, with the boot ROM's routines (RP2350 data sheet 5.4.8). */
#include "rom.h"

#include "../board.h"
#include "../common/cortex.h"

static const uint32_t qmi = 0x400d0000;

static struct {
    void (*connect)(void), (*exit_xip)(void), (*flush_cache)(void);
    void (*erase)(uint32_t offset, uint32_t bytes, uint32_t block, uint8_t command);
    void (*program)(uint32_t offset, const uint8_t *bytes, uint32_t count);
    void (*read_mode)(uint32_t mode, uint8_t divider);
    int (*system_info)(uint32_t *words, uint32_t count, uint32_t which);
    int (*reboot)(uint32_t how, uint32_t after_ms, uint32_t first, uint32_t second);
} rom;

/* How the boot ROM found that the flash can be read: quad, dual or serial, and its divider of the system clock. */
static uint32_t read_mode;
static uint8_t read_divider;

static void *rom_lookup(char first, char second)
{
    enum { SECURE_ARM = 4 };
    typedef void *(*lookup)(uint32_t code, uint32_t kind);
    uintptr_t at = 0x16;
    __asm("" : "+r"(at)); /* the compiler takes a constant that small for a broken null pointer */
    const lookup find = (lookup)(uintptr_t)*(const volatile uint16_t *)at;
    return find((uint32_t)second << 8 | (uint8_t)first, SECURE_ARM);
}

/* 5.4.8.16: modes 0 to 3 by the command that they read with. */
static uint32_t mode_of(uint8_t command)
{
    if (command == 0xeb) return 3;
    if (command == 0xbb) return 2;
    return command == 0x0b ? 1 : 0;
}

void flash_start(void)
{
    rom.connect = (void (*)(void))rom_lookup('I', 'F');
    rom.exit_xip = (void (*)(void))rom_lookup('E', 'X');
    rom.flush_cache = (void (*)(void))rom_lookup('F', 'C');
    rom.erase = (void (*)(uint32_t, uint32_t, uint32_t, uint8_t))rom_lookup('R', 'E');
    rom.program = (void (*)(uint32_t, const uint8_t *, uint32_t))rom_lookup('R', 'P');
    rom.read_mode = (void (*)(uint32_t, uint8_t))rom_lookup('X', 'M');
    rom.system_info = (int (*)(uint32_t *, uint32_t, uint32_t))rom_lookup('G', 'S');
    rom.reboot = (int (*)(uint32_t, uint32_t, uint32_t, uint32_t))rom_lookup('R', 'B');
    /* 12.14.6: the command and the divider in force for the first chip. At 150 MHz a divider of 3 is 50 MHz, which every
       command of common flash parts allows. */
    read_mode = mode_of((uint8_t)REGISTER(qmi + 0x14));
    const uint8_t divider = (uint8_t)REGISTER(qmi + 0x0c);
    read_divider = divider < 3 ? 3 : divider;
}

__attribute__((section(".in_ram"), noinline)) void flash_write(uint32_t offset, const uint8_t *bytes)
{
    rom.connect();
    rom.exit_xip();
    if (bytes) rom.program(offset, bytes, STORAGE_PAGE_BYTES);
    else rom.erase(offset, 4096, 65536, 0xd8);
    rom.flush_cache();
    rom.read_mode(read_mode, read_divider);
}

int rom_system_info(uint32_t *words, uint32_t count, uint32_t which) { return rom.system_info(words, count, which); }

/* 5.4.8.24: type 2 is the USB loader; no return where it succeeds. No activity light, both of its interfaces. */
void rom_enter_loader(void)
{
    enum { TO_LOADER = 2, NO_RETURN = 0x100 };
    rom.reboot(TO_LOADER | NO_RETURN, 10, 0, 0);
    for (;;) __asm volatile("nop");
}
