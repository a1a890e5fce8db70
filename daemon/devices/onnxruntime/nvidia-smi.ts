import { execFile } from 'node:child_process';
import { withCallSignal } from '../../core/call-signal.js';

export interface NvidiaGpu {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  /** P0 (fastest) to P15. */
  readonly performanceState: string | null;
  readonly smClockMHz: number | null;
  readonly memoryClockMHz: number | null;
  readonly celsius: number | null;
  readonly watts: number | null;
  readonly utilisationPercent: number | null;
  readonly memoryUsedBytes: number | null;
  readonly memoryTotalBytes: number | null;
}

interface RunOptions {
  readonly signal: AbortSignal;
  /** The program; `nvidia-smi` by default. */
  readonly program?: string;
  /** A driver in trouble makes it hang; 5 s by default. */
  readonly timeoutMs?: number;
}

const fields = [
  'index',
  'uuid',
  'name',
  'pstate',
  'clocks.sm',
  'clocks.mem',
  'temperature.gpu',
  'power.draw',
  'utilization.gpu',
  'memory.used',
  'memory.total',
] as const;
/** What every version knows; asked where one of the others is refused. */
const leastFields = ['index', 'uuid', 'name', 'memory.used'] as const;

const mebibyte = 2 ** 20;

/** Every NVIDIA GPU of this machine; empty where there is no driver, or it does not answer. */
export async function readNvidiaGpus(options: RunOptions): Promise<NvidiaGpu[]> {
  for (const names of [fields, leastFields]) {
    const lines = await query(['gpu', names.join(',')], options);
    if (lines === null) continue;
    return lines
      .map((cells) => Object.fromEntries(names.map((name, i) => [name, present(cells[i])])))
      .flatMap((row): NvidiaGpu[] => {
        const number = (name: (typeof fields)[number], scale = 1): number | null => {
          const value = Number.parseFloat(row[name] ?? '');
          return Number.isFinite(value) ? value * scale : null;
        };
        const { uuid, name } = row;
        if (!uuid || !name) return [];
        return [
          {
            index: number('index') ?? 0,
            uuid,
            name,
            performanceState: row.pstate ?? null,
            smClockMHz: number('clocks.sm'),
            memoryClockMHz: number('clocks.mem'),
            celsius: number('temperature.gpu'),
            watts: number('power.draw'),
            utilisationPercent: number('utilization.gpu'),
            memoryUsedBytes: number('memory.used', mebibyte),
            memoryTotalBytes: number('memory.total', mebibyte),
          },
        ];
      });
  }
  return [];
}

/** Bytes of GPU memory by process id; empty where the driver does not tell (Windows, some containers). */
export async function readProcessMemory(options: RunOptions): Promise<ReadonlyMap<number, number>> {
  const lines = (await query(['compute-apps', 'pid,used_memory'], options)) ?? [];
  return new Map(
    lines
      .map(([pid = '', used]): [number, number] => [
        Number(pid),
        Number.parseFloat(present(used) ?? '') * mebibyte,
      ])
      .filter(([pid, bytes]) => Number.isInteger(pid) && Number.isFinite(bytes)),
  );
}

/** The rows of one query; null where the program is missing, fails or hangs. */
function query(
  [what, names]: readonly [string, string],
  { signal, program = 'nvidia-smi', timeoutMs = 5000 }: RunOptions,
): Promise<string[][] | null> {
  const args = [`--query-${what}=${names}`, '--format=csv,noheader,nounits'];
  return withCallSignal(
    signal,
    (own) =>
      new Promise((resolve) => {
        const options = { signal: own, timeout: timeoutMs, killSignal: 'SIGKILL' } as const;
        execFile(program, args, options, (error, stdout) => resolve(error ? null : rowsOf(stdout)));
      }),
  );
}

const rowsOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.split(',').map((cell) => cell.trim()));

/** `[N/A]`, `[Not Supported]`, `[Unknown Error]` and the like say that there is no value. */
const present = (cell: string | undefined): string | undefined =>
  cell === undefined || cell === '' || cell.startsWith('[') ? undefined : cell;
