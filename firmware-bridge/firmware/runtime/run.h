#ifndef HILDA_RUN_H
#define HILDA_RUN_H

#include "../operators/call.h"

/* NULL where an operator is not linked in, and for FETCH and the groups, which the interpreter runs itself. */
extern int (*const hilda_dispatch[HILDA_CODE_END])(const hilda_call *);

#endif
