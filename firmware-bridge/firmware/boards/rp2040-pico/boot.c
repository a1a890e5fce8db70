/* The second boot stage: 252 bytes that the boot ROM copies to RAM and runs, then their CRC (RP2040 data sheet 2.8.1.3), which
   scripts/build-firmware.sh puts in. Sets up execute in place (4.10) with four data lines and continuous reads, command 0xeb, at
   half the core's clock: 62.5 MHz, which the flash of the Pico (W25Q16JV: 133 MHz) and other common parts allow. A miss
   of the cache takes 28 clocks of the flash. The flash's status must allow four lines: where it does not, it is set once. */
#include <stdint.h>

__attribute__((naked, section(".boot"), used)) void boot_second_stage(void)
{
    __asm volatile(
        ".syntax unified\n"
        "push {r4, r5, lr}\n"
        /* 2.19.6.4: the clock's pad at 8 mA and fast; the data pads without hysteresis, which costs time. */
        "ldr r3, =0x40020000\n"
        "movs r0, #0x21\n"
        "str r0, [r3, #0x04]\n"
        "ldr r3, =0x40023000\n"
        "movs r0, #2\n"
        "str r0, [r3, #0x08]\n"
        "str r0, [r3, #0x0c]\n"
        "str r0, [r3, #0x10]\n"
        "str r0, [r3, #0x14]\n"
        "ldr r3, =0x18000000\n" /* SSI */
        "movs r0, #0\n"
        "str r0, [r3, #0x08]\n" /* SSIENR: off while it is set up */
        "movs r0, #2\n"
        "str r0, [r3, #0x14]\n" /* BAUDR */
        "movs r0, #1\n"
        "movs r1, #0xf0\n"
        "str r0, [r3, r1]\n" /* RX_SAMPLE_DLY: the answer comes a clock late at this speed */
        "ldr r0, =0x00070000\n"
        "str r0, [r3, #0x00]\n" /* CTRLR0: 8-bit frames, both ways */
        "movs r0, #1\n"
        "str r0, [r3, #0x08]\n"

        /* Four lines: bit 1 of the second status register. Written with what both registers hold. */
        "movs r0, #0x35\n"
        "bl 3f\n"
        "movs r4, r0\n"
        "movs r1, #2\n"
        "tst r0, r1\n"
        "bne 1f\n"
        "orrs r4, r1\n"
        "movs r0, #0x05\n"
        "bl 3f\n"
        "movs r5, r0\n"
        "movs r0, #0x06\n" /* write enable */
        "str r0, [r3, #0x60]\n"
        "bl 4f\n"
        "ldr r0, [r3, #0x60]\n"
        "movs r0, #0x01\n"
        "str r0, [r3, #0x60]\n"
        "str r5, [r3, #0x60]\n"
        "str r4, [r3, #0x60]\n"
        "bl 4f\n"
        "ldr r0, [r3, #0x60]\n"
        "ldr r0, [r3, #0x60]\n"
        "ldr r0, [r3, #0x60]\n"
        "2: movs r0, #0x05\n"
        "bl 3f\n"
        "lsrs r0, r0, #1\n"
        "bcs 2b\n"

        /* A first read with the command 0xeb and mode bits 0xa0, after which reads need no command. */
        "1: movs r0, #0\n"
        "str r0, [r3, #0x08]\n"
        "str r0, [r3, #0x04]\n" /* CTRLR1: one frame */
        "ldr r0, =0x005f0300\n" /* CTRLR0: four lines, 32-bit frames, EEPROM read */
        "str r0, [r3, #0x00]\n"
        "movs r1, #0xf4\n"
        "ldr r0, =0x00002221\n" /* SPI_CTRLR0: 8-bit command on one line; 32 bits of address and mode on four; 4 clocks */
        "str r0, [r3, r1]\n"
        "movs r2, #1\n"
        "str r2, [r3, #0x08]\n"
        "movs r0, #0xeb\n"
        "str r0, [r3, #0x60]\n"
        "movs r0, #0xa0\n"
        "str r0, [r3, #0x60]\n"
        "bl 4f\n"
        "movs r0, #0\n"
        "str r0, [r3, #0x08]\n"
        "ldr r0, =0xa0002022\n" /* SPI_CTRLR0: no command; mode bits 0xa0 follow every address */
        "movs r1, #0xf4\n"
        "str r0, [r3, r1]\n"
        "str r2, [r3, #0x08]\n"

        "pop {r4, r5}\n"
        "pop {r0}\n"
        "cmp r0, #0\n" /* called by the flash routines with a return address, by the boot ROM without */
        "beq 5f\n"
        "bx r0\n"
        "5: ldr r0, =0x10000100\n"
        "ldr r1, =0xe000ed08\n"
        "str r0, [r1]\n" /* VTOR */
        "ldmia r0!, {r1, r2}\n"
        "msr msp, r1\n"
        "bx r2\n"

        /* Reads the status register that r0 names into r0. */
        "3: push {lr}\n"
        "str r0, [r3, #0x60]\n"
        "str r0, [r3, #0x60]\n"
        "bl 4f\n"
        "ldr r0, [r3, #0x60]\n"
        "ldr r0, [r3, #0x60]\n"
        "pop {pc}\n"
        /* Waits until the SSI has sent everything: transmit FIFO empty, then not busy. */
        "4: ldr r0, [r3, #0x28]\n"
        "lsrs r1, r0, #3\n"
        "bcc 4b\n"
        "lsrs r0, r0, #1\n"
        "bcs 4b\n"
        "bx lr\n"
        ".pool\n");
}
