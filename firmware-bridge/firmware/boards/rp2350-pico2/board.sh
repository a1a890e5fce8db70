# Raspberry Pi Pico 2 (RP2350): Cortex-M33.
core=(-mcpu=cortex-m33 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16)
flags=(-DHILDA_LINES=2)
sources=(boards/rp2350-pico2/board.c boards/rp2350-pico2/flash.c boards/common/rp-usb.c boards/common/rp-usb-control.c boards/common/usb-descriptors.c)
load_address=0x10000000
