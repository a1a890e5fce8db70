# NUCLEO-L4R5ZI: Cortex-M4, the reference board of MLPerf Tiny.
core=(-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16)
sources=(boards/nucleo-l4r5zi/board.c boards/common/{stm32,dwt-board,receive-ring}.c)
load_address=0x08000000
