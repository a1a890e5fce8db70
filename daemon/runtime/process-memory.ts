import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Rise of this process's resident memory between `start` and `riseBytes`. Writing 5 to /proc/self/clear_refs resets
 * the high-water mark VmHWM to the present resident size (proc_pid_clear_refs(5)); elsewhere than on Linux there is
 * no such mark and `start` answers null.
 */
export class RssWatch {
  readonly #startBytes: number;

  private constructor(startBytes: number) {
    this.#startBytes = startBytes;
  }

  static start(): RssWatch | null {
    try {
      writeFileSync('/proc/self/clear_refs', '5');
      return new RssWatch(statusBytes('VmRSS'));
    } catch {
      return null;
    }
  }

  riseBytes(): number {
    return Math.max(0, statusBytes('VmHWM') - this.#startBytes);
  }
}

function statusBytes(field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  if (match === null) throw new Error(`/proc/self/status has no ${field}`);
  return Number(match[1]) * 1024;
}

/**
 * Call the answer to learn which share of all CPUs' time the hypervisor withheld since. The kernel counts in ticks of
 * 10 ms, so one tick within a short round says nothing: below two ticks the share is 0.
 */
export function readStealShare(): () => number | null {
  const before = cpuTicks();
  return () => {
    const after = cpuTicks();
    if (before === null || after === null) return null;
    const total = after.total - before.total;
    const steal = after.steal - before.steal;
    return steal < 2 || total <= 0 ? 0 : steal / total;
  };
}

function cpuTicks(): { readonly total: number; readonly steal: number } | null {
  try {
    const text = readFileSync('/proc/stat', 'utf8');
    const line = text.slice(0, text.indexOf('\n'));
    // cpu user nice system idle iowait irq softirq steal guest guest_nice; guests are contained in user.
    const ticks = line.trim().split(/\s+/).slice(1, 9).map(Number);
    return { total: ticks.reduce((sum, n) => sum + n, 0), steal: ticks[7] ?? 0 };
  } catch {
    return null;
  }
}
