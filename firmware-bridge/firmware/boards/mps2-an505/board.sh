# Arm MPS2, application note 505: Cortex-M33 with the DSP extension and no floating point.
core=(-mcpu=cortex-m33+nofp -mthumb -mfloat-abi=soft)
sources=(boards/mps2-an505/board.c boards/common/mps2.c)
load_address=0x10000000
