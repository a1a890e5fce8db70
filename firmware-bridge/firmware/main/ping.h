#ifndef HILDA_PING_H
#define HILDA_PING_H
#include "../link/session.h"

enum { STATE_IDLE = 0, STATE_RUNNING = 1, STATE_WORKING = 2 };

void answer_ping(const request *asked, uint8_t state, uint32_t operator_index);

#endif
