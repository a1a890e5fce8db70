#ifndef HILDA_PING_H
#define HILDA_PING_H
#include "../link/session.h"

void answer_ping(const request *asked, uint8_t state, uint32_t operator_index);

#endif
