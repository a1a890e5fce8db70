# NUCLEO-U575ZI-Q: Cortex-M33.
core=(-mcpu=cortex-m33 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16)
sources=(boards/nucleo-u575zi-q/board.c boards/common/{stm32,dwt-board,receive-ring}.c)
load_address=0x08000000
