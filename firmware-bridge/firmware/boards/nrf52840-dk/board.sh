# nRF52840-DK: Cortex-M4.
core=(-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16)
sources=(boards/nrf52840-dk/board.c boards/common/{dwt-board,receive-ring}.c)
load_address=0x00000000
