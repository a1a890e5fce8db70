#include "working.h"

#include "../boards/board.h"
#include "ping.h"

static struct {
    const request *asked;
    uint8_t listens, cancelled;
} now;

void working_on(const request *asked, uint8_t listens)
{
    now.asked = asked;
    now.listens = listens;
    now.cancelled = 0;
}

static void serve(void)
{
    request asked;
    while (session_poll(&asked)) {
        if (asked.kind == KIND_PING) {
            answer_ping(&asked, STATE_WORKING, 0);
        } else if (asked.kind == KIND_CANCEL) {
            now.cancelled = 1;
            reply(&asked, 0);
        } else if (asked.kind == KIND_HELLO) {
            now.cancelled = 1;
            session_defer(&asked);
        } else {
            reply_error(&asked, LINK_BUSY, 0, 0);
        }
    }
}

int working(uint32_t done, uint32_t of)
{
    board_watchdog_kick();
    if (now.asked) report_progress(now.asked, done, of);
    if (now.listens) serve();
    /* A core that stalls while its flash is busy sends nothing. */
    board_flush();
    return !now.cancelled;
}
