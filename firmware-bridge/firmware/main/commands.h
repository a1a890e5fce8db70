/* What each request of LINK.md does while no network runs. */
#ifndef HILDA_COMMANDS_H
#define HILDA_COMMANDS_H
#include "../link/session.h"

/* Called once, before the first request. */
void commands_start(uint8_t reset_reason, uint32_t fault_address);
void serve_request(const request *asked);

#endif
