# Netduino Plus 2 as QEMU models it: STM32F405, Cortex-M4, a USART of the older generation.
core=(-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16)
sources=(boards/netduinoplus2/board.c boards/common/{stm32,receive-ring}.c)
load_address=0x08000000
