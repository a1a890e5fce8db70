# Arm MPS2, application note 500: Cortex-M7.
core=(-mcpu=cortex-m7 -mthumb -mfloat-abi=hard -mfpu=fpv5-sp-d16)
sources=(boards/mps2-an500/board.c boards/common/mps2.c)
load_address=0x00000000
