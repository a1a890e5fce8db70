# STM32F746G-DISCO: Cortex-M7, the board of MCUFormer's measurements.
core=(-mcpu=cortex-m7 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16)
sources=(boards/stm32f746g-disco/board.c boards/common/{stm32,stm32-sectors,dwt-board,receive-ring}.c)
load_address=0x08000000
