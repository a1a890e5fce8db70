# Arm MPS3, application note 547: Cortex-M55 with Helium.
core=(-mcpu=cortex-m55 -mthumb -mfloat-abi=hard)
sources=(boards/mps3-an547/board.c boards/common/mps2.c)
load_address=0x00000000
