# NUCLEO-F446RE: Cortex-M4.
core=(-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16)
sources=(boards/nucleo-f446re/board.c boards/common/{stm32,stm32-sectors,dwt-board,receive-ring}.c)
load_address=0x08000000
