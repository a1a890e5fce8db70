/* Vectors, floating point on, arguments from the emulator's command line; QEMU has loaded .data where it belongs. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern uint32_t stack_top, __bss_start__, __bss_end__;
int main(int argc, char **argv);
void initialise_monitor_handles(void);
void _init(void) {}
void _fini(void) {}

static int semihost(int operation, void *argument) {
  register int r0 __asm__("r0") = operation;
  register void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static void start(void) {
  *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20; /* CPACR: FPU and Helium, where there are any */
  __asm__ volatile("dsb\n isb");
  memset(&__bss_start__, 0, (size_t)((char *)&__bss_end__ - (char *)&__bss_start__));
  initialise_monitor_handles();
  static char line[512];
  static char *arguments[16];
  struct {
    char *line;
    int size;
  } block = {line, sizeof line};
  int count = 0;
  enum { SYS_GET_CMDLINE = 0x15 };
  if (semihost(SYS_GET_CMDLINE, &block) == 0)
    for (char *word = strtok(line, " "); word && count < 15; word = strtok(0, " ")) arguments[count++] = word;
  exit(main(count, arguments));
}

static void fault(void) {
  enum { SYS_EXIT = 0x18, RUN_TIME_ERROR = 0x20023 };
  semihost(SYS_EXIT, (void *)RUN_TIME_ERROR);
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (void *)start, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault};
