import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface LaunchLimits {
  /** Bound of the child's address space (RLIMIT_AS); null for none. Node and onnxruntime alone need about 1.1 GB. */
  readonly memoryLimitBytes: number | null;
  /** Index of the CPU to run on; null lets the scheduler choose. */
  readonly cpu: number | null;
}

/**
 * Asks glibc (2.35 or newer, tunable `glibc.malloc.hugetlb`) to back the heap with transparent huge pages; others ignore it.
 * With pages of 4 KiB the physical placement is drawn anew for each process, and transformers of some 500 us ran up to
 * 22 % slower in some processes than in others. Has no effect where the kernel says `never` (see `hugePages` of the manifest).
 */
export const steadyHeap: Readonly<Record<string, string>> = { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' };

/**
 * The command line that puts `command` under the limits. Each wrapper replaces itself (exec), so the process id, the
 * IPC channel and the process group stay those of the child. A tool that the machine lacks is left out:
 *
 * - `setpriv --pdeathsig` (util-linux) kills the child when the daemon dies, even by SIGKILL, in an endless loop
 * - `taskset` pins it to one CPU
 * - the shell's `ulimit -v` bounds its memory
 */
export function launchCommand(
  command: readonly string[],
  { memoryLimitBytes, cpu }: LaunchLimits,
): readonly [string, ...string[]] {
  let line = [...command];
  if (memoryLimitBytes !== null && process.platform !== 'win32') {
    line = [
      '/bin/sh',
      '-c',
      'ulimit -v "$1" 2>/dev/null; shift; exec "$@"',
      'sh',
      String(Math.ceil(memoryLimitBytes / 1024)),
      ...line,
    ];
  }
  const taskset = cpu === null ? null : findTool('taskset');
  if (taskset !== null) line = [taskset, '--cpu-list', String(cpu), ...line];
  const setpriv = findTool('setpriv');
  if (setpriv !== null) line = [setpriv, '--pdeathsig', 'KILL', ...line];
  return line as [string, ...string[]];
}

function findTool(name: string): string | null {
  if (process.platform !== 'linux') return null;
  for (const folder of (process.env.PATH ?? '/usr/bin:/bin').split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}
