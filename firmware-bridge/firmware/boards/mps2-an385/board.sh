# Arm MPS2, application note 385: Cortex-M3.
core=(-mcpu=cortex-m3 -mthumb -mfloat-abi=soft)
sources=(boards/mps2-an385/board.c boards/common/mps2.c)
load_address=0x00000000
