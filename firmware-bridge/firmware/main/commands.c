#include "commands.h"

#include <string.h>

#include "../boards/board.h"
#include "../link/crc32.h"
#include "../link/wire.h"
#include "build_hash.h"
#include "execute.h"
#include "ping.h"
#include "storage.h"
#include "working.h"
#include "work.h"

enum { SPACE_ARENA = 0, SPACE_POOL = 1 };

static uint8_t reset_reason;
static uint32_t fault_address;

void commands_start(uint8_t reason, uint32_t address)
{
    reset_reason = reason;
    fault_address = address;
}

void answer_ping(const request *asked, uint8_t state, uint32_t operator_index)
{
    uint8_t *at = wire_put16(wire_put8(wire_put8(reply_payload(), state), 0), operator_index);
    wire_put32(at, session_dropped());
    reply(asked, 8);
}

static void hello(const request *asked)
{
    const stored_program deployed = storage_program(SLOT_DEPLOYED);
    uint8_t *at = wire_put16(wire_put16(reply_payload(), LINK_VERSION), HILDA_ABI);
    at = wire_put32(wire_put32(at, board.core_hz), board.ticks_hz);
    at = wire_put32(at, work_bytes());
    at = wire_put32(wire_put32(at, board.pool_bytes - STORAGE_PAGE_BYTES), storage_pool_seed());
    at = wire_put32(at, board.slot_bytes - STORAGE_PAGE_BYTES);
    at = wire_put32(wire_put32(at, deployed.bytes), deployed.crc);
    at = wire_put32(at, board.firmware_bytes);
    at = wire_put32(at, board_cpuid());
    at = wire_put16(wire_put16(at, FRAME_MAX_PAYLOAD), board.window_bytes);
    at = wire_put8(wire_put8(at, reset_reason), board.is_flash);
    at = wire_put8(wire_put8(at, board.tick_unit), hilda_native_layout());
    at = wire_put32(at, fault_address);
    board_chip_id(at);
    at += 16;
    memcpy(at, build_hash, sizeof build_hash);
    at += sizeof build_hash;
    const uint32_t name = (uint32_t)strlen(board.name);
    at = wire_put8(at, name);
    memcpy(at, board.name, name);
    at = wire_put32(at + name, board_clock_ppm());
    reply(asked, (uint32_t)(at - reply_payload()));
}

static void answer_word(const request *asked, uint32_t word)
{
    wire_put32(reply_payload(), word);
    reply(asked, 4);
}

static void fill(const request *asked)
{
    const uint32_t offset = wire_get32(asked->payload + 1), bytes = wire_get32(asked->payload + 5);
    uint32_t word = wire_get32(asked->payload + 9), crc = 0;
    if (asked->payload[0] == SPACE_POOL) {
        working_on(asked, 1);
        const uint8_t code = storage_fill_pool(offset, bytes, word, &crc);
        if (code != LINK_OK) return reply_error(asked, code, 0, board.pool_bytes - STORAGE_PAGE_BYTES);
        return answer_word(asked, crc);
    }
    const uint32_t room = execute_arena_bytes();
    if (asked->payload[0] != SPACE_ARENA || offset > room || bytes > room - offset)
        return reply_error(asked, LINK_RANGE, 0, room);
    if (word == 0) word = 1;
    uint8_t *to = work_start + offset;
    for (uint32_t i = 0; i < bytes; i++) {
        if (i % 4 == 0) {
            word ^= word << 13;
            word ^= word >> 17;
            word ^= word << 5;
        }
        to[i] = (uint8_t)(word >> 8 * (i % 4));
    }
    answer_word(asked, crc32(0, to, bytes));
}

static void read_space(const request *asked)
{
    const uint8_t space = asked->payload[0];
    const uint32_t offset = wire_get32(asked->payload + 1), bytes = wire_get16(asked->payload + 5);
    const uint8_t *from = space == SPACE_ARENA ? work_start : board.pool;
    const uint32_t room = space == SPACE_ARENA ? execute_arena_bytes() : board.pool_bytes - STORAGE_PAGE_BYTES;
    if (space > SPACE_POOL || bytes > FRAME_MAX_PAYLOAD || offset > room || bytes > room - offset)
        return reply_error(asked, LINK_RANGE, 0, room);
    memcpy(reply_payload(), from + offset, bytes);
    reply(asked, bytes);
}

static void write_arena(const request *asked)
{
    const uint32_t offset = wire_get32(asked->payload + 1), bytes = asked->bytes - 5;
    const uint32_t room = execute_arena_bytes();
    if (asked->payload[0] != SPACE_ARENA || offset > room || bytes > room - offset)
        return reply_error(asked, LINK_RANGE, 0, room);
    memcpy(work_start + offset, asked->payload + 5, bytes);
    reply(asked, 0);
}

static void begin(const request *asked)
{
    uint32_t received = 0, detail = 0;
    const uint8_t slot = asked->payload[0];
    working_on(asked, 0);
    const uint8_t code =
        storage_begin(slot, wire_get32(asked->payload + 4), wire_get32(asked->payload + 8), &received, &detail);
    if (code != LINK_OK) return reply_error(asked, code, 0, detail);
    uint8_t *at = wire_put32(reply_payload(), received);
    wire_put32(at, slot == SLOT_RAM ? board.window_bytes : board.flash_window_bytes);
    reply(asked, 8);
}

static void data(const request *asked)
{
    uint32_t received = 0;
    working_on(asked, 0);
    const uint8_t code = storage_data(wire_get32(asked->payload), asked->payload + 4, asked->bytes - 4, &received);
    if (code != LINK_OK) return reply_error(asked, code, 0, received);
    answer_word(asked, received);
}

static void refused(const request *asked, uint8_t code, const hilda_report *report)
{
    reply_error(asked, code, report->operator_index, (uint32_t)report->error);
}

static void finish(const request *asked)
{
    uint8_t slot = 0;
    uint8_t code = storage_finish(&slot);
    if (code != LINK_OK) return reply_error(asked, code, 0, 0);
    hilda_report report;
    const hilda_header *header;
    /* A deployment lies in the staging place until it is committed. */
    code = execute_check(slot == SLOT_DEPLOYED ? SLOT_STAGED : slot, &report, &header);
    if (code != LINK_OK) {
        storage_refuse();
        return refused(asked, code, &report);
    }
    uint8_t *at = wire_put32(wire_put32(reply_payload(), 0), 0);
    at = wire_put32(wire_put32(at, header->arena_bytes), header->operator_count);
    at = wire_put32(wire_put32(at, header->input_offset), header->input_bytes);
    at = wire_put32(wire_put32(at, header->output_offset), header->output_bytes);
    reply(asked, (uint32_t)(at - reply_payload()));
}

static uint8_t *put_result(uint8_t *at, const run_result *result)
{
    at = wire_put32(wire_put32(at, (uint32_t)result->ticks), (uint32_t)(result->ticks >> 32));
    at = wire_put32(wire_put32(at, result->operators), result->arena_peak);
    at = wire_put32(wire_put32(at, result->stack_peak), result->output_crc);
    return wire_put32(at, result->tick_overhead);
}

/* The run that ended last, kept for a host that lost its reply. */
static struct last_run {
    uint32_t session, operator_index, error;
    uint16_t request;
    uint8_t code;
    run_result result;
} last_run;

static void run(const request *asked)
{
    const uint8_t *from = asked->payload;
    const run_order order = {from[0], from[1], from[2], wire_get32(from + 4)};
    /* Serving pings overwrites the decoder's buffer, and with it this request's payload. */
    const request kept = {asked->kind, asked->line, asked->request, asked->session, 0, 0};
    run_result result;
    hilda_report report;
    last_run = (struct last_run){.session = kept.session, .request = kept.request};
    const uint8_t code = execute_run(&order, &kept, &result, &report);
    last_run.code = code;
    last_run.operator_index = report.operator_index;
    last_run.error = (uint32_t)report.error;
    if (code != LINK_OK) return refused(&kept, code, &report);
    last_run.result = result;
    reply(&kept, (uint32_t)(put_result(reply_payload(), &result) - reply_payload()));
}

/* The host lost the reply of its run: what became of it. */
static void report_run(const request *asked)
{
    if (last_run.session != asked->session) return reply_error(asked, LINK_NO_PROGRAM, 0, 0);
    uint8_t *at = wire_put8(wire_put8(wire_put16(reply_payload(), last_run.request), last_run.code), 0);
    at = wire_put32(wire_put16(wire_put16(at, last_run.operator_index), 0), last_run.error);
    reply(asked, (uint32_t)(put_result(at, &last_run.result) - reply_payload()));
}

static void ticks(const request *asked)
{
    uint32_t operators;
    const uint32_t *all = execute_ticks(&operators);
    const uint32_t first = wire_get16(asked->payload), count = wire_get16(asked->payload + 2);
    if (!all || 4 * count > FRAME_MAX_PAYLOAD || first > operators || count > operators - first)
        return reply_error(asked, LINK_RANGE, 0, operators);
    uint8_t *at = reply_payload();
    for (uint32_t i = 0; i < count; i++) at = wire_put32(at, all[first + i]);
    reply(asked, 4 * count);
}

static void commit(const request *asked)
{
    working_on(asked, 0);
    const uint8_t code = storage_commit();
    if (code != LINK_OK) return reply_error(asked, code, 0, 0);
    answer_word(asked, storage_sequence());
}

static void erase(const request *asked)
{
    working_on(asked, 0);
    const uint8_t code = storage_erase();
    if (code != LINK_OK) return reply_error(asked, code, 0, 0);
    reply(asked, 0);
}

static void echo(const request *asked)
{
    memcpy(reply_payload(), asked->payload, asked->bytes);
    reply(asked, asked->bytes);
}

static void ping(const request *asked) { answer_ping(asked, STATE_IDLE, 0); }

static void cancel(const request *asked) { reply(asked, 0); }

static void reset(const request *asked)
{
    reply(asked, 0);
    board_flush();
    board_restart();
}

/* Through the boot loader new firmware comes without a hand on the board. */
static void loader(const request *asked)
{
    if (!board.enter_loader) return reply_error(asked, LINK_UNKNOWN, 0, 0);
    reply(asked, 0);
    board_flush();
    board.enter_loader();
}

static const struct {
    uint8_t kind;
    /* Payload bytes that must be there; whether more may follow. */
    uint8_t least, open;
    void (*serve)(const request *);
} commands[] = {
    {KIND_HELLO, 0, 0, hello},   {KIND_PING, 0, 0, ping},         {KIND_ECHO, 0, 1, echo},
    {KIND_FILL, 13, 0, fill},    {KIND_READ, 7, 0, read_space},   {KIND_WRITE, 5, 1, write_arena},
    {KIND_BEGIN, 12, 0, begin},  {KIND_DATA, 4, 1, data},         {KIND_FINISH, 0, 0, finish},
    {KIND_COMMIT, 0, 0, commit}, {KIND_RUN, 8, 0, run},           {KIND_TICKS, 4, 0, ticks},
    {KIND_CANCEL, 0, 0, cancel}, {KIND_RESET, 0, 0, reset},       {KIND_ERASE, 0, 0, erase},
    {KIND_REPORT, 0, 0, report_run}, {KIND_LOADER, 0, 0, loader},
};

void serve_request(const request *asked)
{
    for (uint32_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (commands[i].kind != asked->kind) continue;
        if (asked->bytes < commands[i].least || (!commands[i].open && asked->bytes != commands[i].least))
            return reply_error(asked, LINK_MALFORMED, 0, commands[i].least);
        return commands[i].serve(asked);
    }
    reply_error(asked, LINK_UNKNOWN, 0, 0);
}
