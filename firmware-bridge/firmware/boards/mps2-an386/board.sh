# Arm MPS2, application note 386: Cortex-M4.
core=(-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16)
sources=(boards/mps2-an386/board.c boards/common/mps2.c)
load_address=0x00000000
