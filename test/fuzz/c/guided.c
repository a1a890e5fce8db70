/* guided SEEDS SEED ROUNDS [LAST]: SEEDS holds inputs, each a little-endian length of four bytes and its bytes. The same
 * arguments give the same inputs. LAST gets each input before it runs, so that it is there when one ends the process. */
#include "guided.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CORPUS_MOST = 8192 };

typedef struct {
  uint8_t *bytes;
  uint32_t count;
} sample;

static sample corpus[CORPUS_MOST];
static uint32_t corpus_count;
/* Classes of counts seen of each edge, as bits. */
static uint8_t virgin[COVER_EDGES];
static uint32_t edges;
static uint64_t state;

static uint32_t draw(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  const uint32_t value = (uint32_t)(state >> 16);
  return below ? value % below : value;
}

static uint8_t class_of(uint8_t hits) {
  if (hits < 4) return (uint8_t)(1u << (hits - 1));
  if (hits < 8) return 8;
  if (hits < 16) return 16;
  if (hits < 32) return 32;
  return hits < 128 ? 64 : 128;
}

/* Whether the run went where none went before; what it saw is known from now on. */
static int is_new(void) {
  int found = 0;
  const uint64_t *words = (const uint64_t *)cover_map;
  for (uint32_t word = 0; word < COVER_EDGES / 8; word++) {
    if (!words[word]) continue;
    for (uint32_t i = 8 * word; i < 8 * word + 8; i++) {
      if (!cover_map[i]) continue;
      const uint8_t seen = class_of(cover_map[i]);
      if (virgin[i] & seen) continue;
      if (!virgin[i]) edges++;
      virgin[i] |= seen;
      found = 1;
    }
  }
  return found;
}

static void keep(const uint8_t *bytes, uint32_t count) {
  const uint32_t at = corpus_count < CORPUS_MOST ? corpus_count++ : draw(CORPUS_MOST);
  free(corpus[at].bytes);
  corpus[at] = (sample){.bytes = malloc(count ? count : 1), .count = count};
  memcpy(corpus[at].bytes, bytes, count);
}

/* Numbers at which size computations go wrong. */
static uint32_t awkward(uint32_t old) {
  static const uint32_t fixed[] = {0,      1,      2,          4,          16,         63,         64,         65,        127,       128,
                                   255,    256,    257,        1031,       1032,       1033,       4096,       0x7fff,    0x8000,    0xffff,
                                   0x10000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff, 0x40000000, 0x3fffffff};
  switch (draw(4)) {
    case 0: return old + 1;
    case 1: return old - 1;
    case 2: return old + (1u << draw(32));
    default: return fixed[draw(sizeof fixed / sizeof *fixed)];
  }
}

static uint32_t change(uint8_t *bytes, uint32_t count) {
  const uint32_t at = count ? draw(count) : 0;
  switch (count ? draw(9) : 5) {
    case 0: bytes[at] ^= (uint8_t)(1u << draw(8)); return count;
    case 1: bytes[at] = (uint8_t)draw(0); return count;
    case 2:
    case 3: {
      const uint32_t width = 1u << draw(3);
      if (at + width > count) return count;
      uint32_t value = 0;
      memcpy(&value, bytes + at, width);
      value = awkward(value);
      memcpy(bytes + at, &value, width);
      return count;
    }
    case 4: {
      /* A piece is left out. */
      const uint32_t length = 1 + draw(count - at < 64 ? count - at : 64);
      memmove(bytes + at, bytes + at + length, count - at - length);
      return count - length;
    }
    case 5: {
      /* Noise comes in. */
      const uint32_t length = 1 + draw(16);
      if (count + length > INPUT_MOST) return count;
      memmove(bytes + at + length, bytes + at, count - at);
      for (uint32_t i = 0; i < length; i++) bytes[at + i] = (uint8_t)draw(0);
      return count + length;
    }
    case 6: {
      /* A piece in another place. */
      const uint32_t from = draw(count), most = count - (from > at ? from : at);
      memmove(bytes + at, bytes + from, 1 + draw(most < 64 ? most : 64));
      return count;
    }
    case 7: {
      /* A piece of another input in place of the rest. */
      const sample *other = &corpus[draw(corpus_count)];
      if (!other->count) return count;
      const uint32_t from = draw(other->count), room = INPUT_MOST - at;
      const uint32_t length = other->count - from < room ? other->count - from : room;
      memcpy(bytes + at, other->bytes + from, length);
      return at + length;
    }
    default: {
      /* A piece of another input comes in. */
      const sample *other = &corpus[draw(corpus_count)];
      if (!other->count) return count;
      const uint32_t from = draw(other->count), most = other->count - from, length = 1 + draw(most < 128 ? most : 128);
      if (count + length > INPUT_MOST) return count;
      memmove(bytes + at + length, bytes + at, count - at);
      memcpy(bytes + at, other->bytes + from, length);
      return count + length;
    }
  }
}

static void write_last(const char *path, const uint8_t *bytes, uint32_t count) {
  FILE *file = fopen(path, "wb");
  if (!file) abort();
  fwrite(bytes, 1, count, file);
  fclose(file);
}

static uint64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
  return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static uint32_t slow;

static void run(const uint8_t *bytes, uint32_t count) {
  memset(cover_map, 0, sizeof cover_map);
  const uint64_t from = now_ns();
  target_run(bytes, count);
  if (now_ns() - from > 1000000000u) slow++;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  FILE *seeds = fopen(argv[1], "rb");
  if (!seeds) return 3;
  state = strtoull(argv[2], 0, 10) * 2654435761u + 88172645463325252u;
  const uint64_t rounds = strtoull(argv[3], 0, 10);
  static uint8_t bytes[INPUT_MOST];
  uint32_t count;
  while (fread(&count, 4, 1, seeds) == 1) {
    if (count > INPUT_MOST || fread(bytes, 1, count, seeds) != count) return 4;
    run(bytes, count);
    (void)is_new();
    keep(bytes, count);
  }
  fclose(seeds);
  const uint32_t first_edges = edges, seeds_count = corpus_count;
  if (!corpus_count) return 5;
  for (uint64_t round = 0; round < rounds; round++) {
    /* New finds are changed more often than old ones. */
    const uint32_t chosen = draw(4) ? draw(corpus_count) : corpus_count - 1 - draw(corpus_count < 32 ? corpus_count : 32);
    count = corpus[chosen].count;
    memcpy(bytes, corpus[chosen].bytes, count);
    for (uint32_t changes = 1u << draw(4); changes > 0; changes--) count = change(bytes, count);
    if (argc > 4) write_last(argv[4], bytes, count);
    run(bytes, count);
    if (is_new()) keep(bytes, count);
  }
  printf("{\"inputs\":%llu,\"seeds\":%lu,\"corpus\":%lu,\"edgesOfSeeds\":%lu,\"edges\":%lu,\"slow\":%lu}\n", (unsigned long long)rounds,
         (unsigned long)seeds_count, (unsigned long)corpus_count, (unsigned long)first_edges, (unsigned long)edges, (unsigned long)slow);
  while (corpus_count > 0) free(corpus[--corpus_count].bytes);
  return 0;
}
