/* Work on flash that takes long: the host hears how far it is, and pings are answered meanwhile. */
#ifndef HILDA_WORKING_H
#define HILDA_WORKING_H
#include "../link/session.h"

/* The request under way; `listens` where its payload is no longer needed, since what the line brings overwrites it. */
void working_on(const request *asked, uint8_t listens);
/* Called before each part of the work. 0: it was cancelled. */
int working(uint32_t done, uint32_t of);

#endif
