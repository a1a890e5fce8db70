#include "execute.h"

#include <string.h>

#include "../boards/board.h"
#include "../boards/stack.h"
#include "../link/crc32.h"
#include "../link/wire.h"
#include "paint.h"
#include "ping.h"
#include "storage.h"
#include "work.h"

/* How long the host may take to send a slice of the input before the run is given up. An emulator's time runs by its
   instructions, some fifty times faster than the host's. */
enum { INPUT_WAIT_S = 5, EMULATED_INPUT_WAIT_S = 300 };

static struct {
    const request *run;
    uint32_t *ticks;
    uint32_t operators, operator_index;
    /* Ticks spent on the link: they are not the network's. */
    uint32_t stolen;
    uint32_t seen;
    uint64_t elapsed, limit;
    uint64_t total;
    uint8_t cancelled, late;
    const uint8_t *pool_input;
    uint8_t *wanted_to;
    uint32_t wanted_offset, wanted_bytes;
    /* The network's own ticks beyond the counter's 32 bits, and where the last operator ended. */
    uint64_t wide, operator_end;
} now;

static uint32_t *table;
static uint32_t table_entries;

const uint32_t *execute_ticks(uint32_t *operators)
{
    *operators = table_entries;
    return table;
}

uint32_t execute_arena_bytes(void) { return work_bytes() - storage_ram_bytes(); }

uint8_t execute_check(uint8_t slot, hilda_report *report, const hilda_header **header)
{
    memset(report, 0, sizeof *report);
    const stored_program stored = storage_program(slot);
    if (!stored.program) return LINK_NO_PROGRAM;
    *header = (const hilda_header *)stored.program;
    /* The table of ticks takes its room before the arena does; a count that cannot be is for the check to refuse. */
    uint32_t room = execute_arena_bytes();
    const uint32_t entries = stored.bytes >= sizeof **header ? (*header)->operator_count : 0;
    if (entries <= HILDA_MAX_OPERATORS) room = 4 * entries < room ? room - 4 * entries : 0;
    const hilda_memory memory = {
        .arena = work_start,
        .arena_bytes = room & ~15u,
        .pool = storage_pool_seed() ? board.pool : 0,
        .pool_bytes = storage_pool_seed() ? board.pool_bytes - STORAGE_PAGE_BYTES : 0,
    };
    if (hilda_check(&memory, stored.program, stored.bytes, report) != 0) return LINK_REFUSED;
    return LINK_OK;
}

static uint32_t network_ticks(void) { return board_ticks() - now.stolen; }

/* Called far more often than the counter wraps. */
static void widen(uint32_t network) { now.wide += (uint32_t)(network - (uint32_t)now.wide); }

static void serve(void)
{
    request asked;
    while (session_poll(&asked)) {
        if (asked.kind == KIND_PING) {
            answer_ping(&asked, STATE_RUNNING, now.operator_index);
        } else if (asked.kind == KIND_CANCEL) {
            now.cancelled = 1;
            reply(&asked, 0);
        } else if (asked.kind == KIND_HELLO) {
            /* Whoever asked for the run is gone. */
            now.cancelled = 1;
            session_defer(&asked);
        } else if (asked.kind == KIND_WRITE && now.wanted_bytes > 0 && asked.bytes >= 5 && asked.payload[0] == 2) {
            const uint8_t code = execute_input(wire_get32(asked.payload + 1), asked.payload + 5, asked.bytes - 5);
            if (code == LINK_OK) reply(&asked, 0);
            else reply_error(&asked, code, 0, now.wanted_offset);
        } else {
            reply_error(&asked, LINK_BUSY, now.operator_index, 0);
        }
    }
}

/* Apart, so that what this takes outside the two looks at the counter stays as little as it can be. */
__attribute__((noinline)) static void serve_and_widen(void)
{
    widen(now.seen - now.stolen);
    on_link_stack(serve);
}

/* 0 ends the run. */
static int look_around(void)
{
    const uint32_t at = board_ticks();
    now.elapsed += at - now.seen;
    now.seen = at;
    board_watchdog_kick();
    serve_and_widen();
    if (now.limit != 0 && now.elapsed > now.limit) now.late = 1;
    now.stolen += board_ticks() - at;
    return !now.cancelled && !now.late;
}

static void operator_done(uint32_t index, uint32_t ticks)
{
    widen(network_ticks());
    /* Between two operators there is next to nothing: what is missing are whole rounds of the counter. */
    const uint64_t missing = now.wide - now.operator_end - ticks;
    const uint64_t all = ticks + ((missing + 0x80000000u) & ~(uint64_t)0xffffffff);
    now.operator_end = now.wide;
    if (index < now.operators) now.ticks[index] = all > 0xffffffff ? 0xffffffff : (uint32_t)all;
    now.operator_index = index;
    now.total += all;
}

uint8_t execute_input(uint32_t offset, const uint8_t *bytes, uint32_t count)
{
    if (offset != now.wanted_offset || count > now.wanted_bytes) return LINK_ORDER;
    memcpy(now.wanted_to, bytes, count);
    now.wanted_to += count;
    now.wanted_offset += count;
    now.wanted_bytes -= count;
    return LINK_OK;
}

static void announce_want(void)
{
    uint8_t note[8];
    wire_put32(wire_put32(note, now.wanted_offset), now.wanted_bytes);
    announce(KIND_WANT, note, sizeof note);
}

static int fetch(uint32_t offset, uint32_t bytes, uint8_t *to)
{
    const uint32_t before = board_ticks();
    int failed = 0;
    if (now.pool_input) {
        const uint32_t size = board.pool_bytes - STORAGE_PAGE_BYTES;
        for (uint32_t done = 0; done < bytes;) {
            const uint32_t from = (offset + done) % size;
            const uint32_t part = bytes - done < size - from ? bytes - done : size - from;
            memcpy(to + done, now.pool_input + from, part);
            done += part;
        }
    } else {
        const uint32_t seconds = board.tick_unit == TICKS_ARE_INSTRUCTIONS ? EMULATED_INPUT_WAIT_S : INPUT_WAIT_S;
        const uint32_t patience = seconds * board.ticks_hz;
        now.wanted_to = to;
        now.wanted_offset = offset;
        now.wanted_bytes = bytes;
        announce_want();
        uint32_t waited_from = board_ticks(), asked_at = waited_from;
        uint32_t left = bytes;
        while (now.wanted_bytes > 0 && !failed) {
            on_link_stack(serve);
            board_watchdog_kick();
            if (now.wanted_bytes != left) {
                left = now.wanted_bytes;
                waited_from = asked_at = board_ticks();
            }
            /* The question itself may have been lost. */
            if (now.wanted_bytes > 0 && board_ticks() - asked_at > patience / 8) {
                announce_want();
                asked_at = board_ticks();
            }
            failed = now.cancelled || board_ticks() - waited_from > patience;
        }
        now.wanted_bytes = 0;
    }
    now.seen = board_ticks();
    now.stolen += now.seen - before;
    return failed;
}

/* Everything but the input is painted: the input is in use from the start. */
static void paint_arena(const hilda_header *header, uint8_t *end, uint8_t paint)
{
    uint8_t *input = header->input_offset == HILDA_NONE ? end : work_start + header->input_offset;
    uint8_t *after = header->input_offset == HILDA_NONE ? end : input + header->input_bytes;
    paint_fill(work_start, input, paint);
    paint_fill(after, end, paint);
}

static uint32_t at_least(uint32_t peak, uint32_t offset, uint32_t bytes)
{
    return offset != HILDA_NONE && offset + bytes > peak ? offset + bytes : peak;
}

uint8_t execute_run(const run_order *order, const request *run, run_result *result, hilda_report *report)
{
    const hilda_header *header;
    if (order->slot != SLOT_RAM) storage_drop_ram();
    const uint8_t unsound = execute_check(order->slot, report, &header);
    if (unsound != LINK_OK) return unsound;
    if ((order->flags & RUN_POOL_INPUT) && !storage_pool_seed()) return LINK_NO_PROGRAM;

    uint8_t *end = work_end - storage_ram_bytes() - 4 * header->operator_count;
    end = work_start + ((uint32_t)(end - work_start) & ~15u);
    table = (uint32_t *)(void *)end;
    table_entries = header->operator_count;
    memset(table, 0, 4 * table_entries);
    memset(&now, 0, sizeof now);
    now.run = run;
    now.ticks = table;
    now.operators = table_entries;
    now.limit = (uint64_t)order->limit_ms * (board.ticks_hz / 1000);
    if (order->flags & RUN_POOL_INPUT) now.pool_input = board.pool;

    const hilda_memory memory = {
        .arena = work_start,
        .arena_bytes = (uint32_t)(end - work_start),
        .pool = storage_pool_seed() ? board.pool : 0,
        .pool_bytes = storage_pool_seed() ? board.pool_bytes - STORAGE_PAGE_BYTES : 0,
    };
    const hilda_hooks hooks = {network_ticks, look_around, operator_done, fetch};
    if (order->flags & RUN_PAINT) {
        paint_arena(header, end, order->paint);
        paint_stack();
    }
    board_watchdog_start();
    board_ticks_start();
    const uint32_t first = board_ticks();
    result->tick_overhead = board_ticks() - first;
    board_ticks_start();
    now.seen = board_ticks();
    const int error = hilda_run(&memory, storage_program(order->slot).program, hooks, report);
    board_ticks_stop();
    board_watchdog_stop();
    if (now.cancelled) return LINK_CANCELLED;
    if (now.late) return LINK_TIME;
    if (error != 0) return LINK_REFUSED;

    result->ticks = now.total;
    result->operators = report->operators_done;
    result->arena_peak = result->stack_peak = 0;
    if (order->flags & RUN_PAINT) {
        uint32_t peak = paint_height(work_start, end, order->paint);
        peak = at_least(peak, header->input_offset, header->input_bytes);
        result->arena_peak = at_least(peak, header->output_offset, header->output_bytes);
        result->stack_peak = paint_stack_depth();
    }
    result->output_crc = crc32(0, work_start + header->output_offset, header->output_bytes);
    return LINK_OK;
}
