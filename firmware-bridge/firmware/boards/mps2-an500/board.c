/* Arm MPS2, application note 500: Cortex-M7. */
#include "../common/mps2-v2m.h"

const mps2_map mps2 = MPS2_V2M_MAP;
const board_facts board = MPS2_V2M_FACTS("mps2-an500");
