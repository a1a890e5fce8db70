import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What V8 writes for a process with NODE_V8_COVERAGE: for each script, how often each range of it ran. */
interface RawRange {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}
interface RawScript {
  readonly url: string;
  readonly functions: readonly { readonly ranges: readonly RawRange[] }[];
}

/** For each file, by its path: 1 for each character that some process ran. */
export type RanByFile = Map<string, Uint8Array>;

export interface Reading {
  readonly ran: RanByFile;
  readonly processes: number;
  /** Files that a killed process left half written. */
  readonly unreadable: number;
}

/**
 * Reads a folder of raw coverage, of the scripts under `base` only. A process that SIGKILL ends writes nothing, so what
 * only such a process ran counts as not run.
 */
export function readRawCoverage(folder: string, base: string): Reading {
  const prefix = `file://${base.replace(/\/+$/, '')}/`;
  const ran: RanByFile = new Map();
  let [processes, unreadable] = [0, 0];
  for (const name of readdirSync(folder)) {
    if (!name.endsWith('.json')) continue;
    let scripts: readonly RawScript[];
    try {
      scripts = (JSON.parse(readFileSync(join(folder, name), 'utf8')) as { result: RawScript[] }).result;
    } catch {
      unreadable++;
      continue;
    }
    processes++;
    for (const script of scripts)
      if (script.url.startsWith(prefix))
        addScript(ran, decodeURI(script.url.slice('file://'.length)), script);
  }
  return { ran, processes, unreadable };
}

function addScript(ran: RanByFile, path: string, { functions }: RawScript): void {
  const length = Math.max(0, ...functions.flatMap(({ ranges }) => ranges.map(({ endOffset }) => endOffset)));
  const here = new Uint8Array(length);
  // An outer range comes before those within it.
  for (const { ranges } of functions)
    for (const { startOffset, endOffset, count } of ranges)
      here.fill(count > 0 ? 1 : 0, startOffset, endOffset);
  const before = ran.get(path);
  if (before) for (let i = 0; i < Math.min(length, before.length); i++) here[i]! |= before[i]!;
  ran.set(path, here);
}
