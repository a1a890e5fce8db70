#include "../boards/board.h"
#include "../link/session.h"
#include "commands.h"
#include "fault_note.h"
#include "storage.h"

int main(void)
{
    board_start();
    uint32_t fault_address = 0;
    uint8_t reason = board_reset_reason();
    if (take_fault(&fault_address)) reason = RESET_FAULT;
    storage_start();
    commands_start(reason, fault_address);
    announce(KIND_BOOT, &reason, 1);
    for (;;) {
        request asked;
        if (session_deferred(&asked) || session_poll(&asked)) serve_request(&asked);
        else board_wait();
    }
}
