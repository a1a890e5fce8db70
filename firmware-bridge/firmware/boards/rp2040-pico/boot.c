/* The second boot stage: 252 bytes that the boot ROM copies to RAM and runs, then their CRC (RP2040 data sheet 2.8.1.3),
   which scripts/build-firmware.sh puts in. Sets up execute in place with the plain read command 0x03, which every
   flash chip understands, at a quarter of the 6 to 125 MHz core clock: within the 50 MHz that command allows. */
#include <stdint.h>

__attribute__((naked, section(".boot"), used)) void boot_second_stage(void)
{
    __asm volatile(
        ".syntax unified\n"
        "push {lr}\n"
        "ldr r3, =0x18000000\n" /* SSI */
        "movs r1, #0\n"
        "str r1, [r3, #0x08]\n" /* SSIENR: off while it is set up */
        "movs r1, #4\n"
        "str r1, [r3, #0x14]\n" /* BAUDR */
        "ldr r1, =0x001f0300\n" /* CTRLR0: 32-bit frames, EEPROM read, standard SPI */
        "str r1, [r3, #0x00]\n"
        "movs r1, #0\n"
        "str r1, [r3, #0x04]\n" /* CTRLR1: one frame */
        "ldr r1, =0x03000218\n" /* SPI_CTRLR0: command 0x03, 8-bit command, 24-bit address */
        "movs r2, #0xf4\n"
        "str r1, [r3, r2]\n"
        "movs r1, #1\n"
        "str r1, [r3, #0x08]\n"
        "pop {r0}\n"
        "cmp r0, #0\n" /* called by the flash routines with a return address, by the boot ROM without */
        "beq 1f\n"
        "bx r0\n"
        "1: ldr r0, =0x10000100\n"
        "ldr r1, =0xe000ed08\n"
        "str r0, [r1]\n" /* VTOR */
        "ldmia r0!, {r1, r2}\n"
        "msr msp, r1\n"
        "bx r2\n"
        ".pool\n");
}
