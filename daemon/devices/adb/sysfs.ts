/** `path:value` lines, as `grep -sH .` prints the files of /sys that it may read. */
export function readSysfs(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const line of text.replaceAll('\r', '').split('\n')) {
    const [, path, value] = /^(\/sys\/[^:]+):(.*)$/.exec(line) ?? [];
    if (path !== undefined && value !== undefined && !values.has(path)) values.set(path, value.trim());
  }
  return values;
}

/** A whole number from 0 on; null where the file is missing, empty or holds something else. */
export function sysfsCount(values: ReadonlyMap<string, string>, path: string): number | null {
  const text = values.get(path);
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** `0-3,6` as numbers in order; null for what is no such list or reaches beyond 1023. */
export function readCpuList(text: string): number[] | null {
  const found = new Set<number>();
  for (const part of text.split(',')) {
    const [, from, to = from] = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part) ?? [];
    if (from === undefined || Number(to) > 1023 || Number(to) < Number(from)) return null;
    for (let cpu = Number(from); cpu <= Number(to); cpu++) found.add(cpu);
  }
  return [...found].sort((a, b) => a - b);
}

/** The shortest list, as the kernel writes it: `0-3,6`. */
export function cpuList(cpus: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const cpu of [...cpus].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && cpu === last[1] + 1) last[1] = cpu;
    else if (cpu !== last?.[1]) ranges.push([cpu, cpu]);
  }
  return ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(',');
}
