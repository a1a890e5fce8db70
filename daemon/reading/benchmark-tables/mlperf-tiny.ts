import { microjoulesIn, positiveOf, shareOf } from './cells.js';
import { Faults } from './faults.js';
import type { TableRow } from './imported-row.js';

/**
 * One file of a submission to MLPerf Tiny, by its place in the repository of a round (mlcommons/tiny_results_v1.x):
 * `ORGANISATION/results/SYSTEM/BENCHMARK/MODE/results.txt`, or `log.txt` beside it. SYSTEM may be several folders.
 */
interface Place {
  readonly device: string;
  readonly benchmark: string;
  readonly precision: string | null;
  readonly mode: (typeof modes)[number];
  readonly isLog: boolean;
}

const modes = ['performance', 'accuracy', 'energy'] as const;
const benchmarks = ['ad', 'ic', 'kws', 'vww', 'sww'];

/** Undefined for a path that is no file of a submission. */
export function placeOf(path: string): Place | undefined {
  const folders = path.split('/');
  const name = folders.pop() ?? '';
  const mode = modes.find((one) => one === folders.at(-1));
  const at = folders.findLastIndex((folder) => benchmarks.includes(folder));
  if (!mode || at < 1 || !/^(results|log|performance_log)\.txt$/.test(name)) return;
  const benchmark = folders[at] as string;
  const variant = folders.slice(at + 1, -1).join('/');
  const precision = /(?:^|[_/-])(int8|fp16|fp32|float32|float16)$/.exec(variant)?.[1] ?? null;
  const root = folders.lastIndexOf('results', at - 1);
  const system = folders.slice(root + 1, at).join('/');
  const organisation = root > 0 ? `${folders[root - 1]}/` : '';
  if (system === '') return;
  return {
    device: organisation + system,
    benchmark: variant !== '' && precision === null ? `${benchmark}/${variant}` : benchmark,
    precision,
    mode,
    isLog: name !== 'results.txt',
  };
}

interface Given {
  readonly name: string;
  readonly text: string;
}

export interface SubmissionRow extends TableRow {
  readonly file: string;
}

/**
 * The latency of each benchmark on each system, from its median throughput, with accuracy and energy where files tell them. A log
 * counts where no results lie beside it. Throws TABLE_INVALID with the lines that are wrong.
 */
export function tinyFigures(files: readonly Given[]): {
  readonly rows: readonly SubmissionRow[];
  readonly cautions: readonly string[];
} {
  const groups = new Map<string, Map<string, { readonly place: Place; readonly file: Given }>>();
  for (const file of files) {
    const place = placeOf(file.name) as Place;
    const key = JSON.stringify([place.device, place.benchmark, place.precision]);
    const group = groups.get(key) ?? new Map();
    groups.set(key, group);
    const known = group.get(place.mode);
    if (!known || (known.place.isLog && !place.isLog)) group.set(place.mode, { place, file });
  }
  const cautions: string[] = [];
  const rows = [...groups.values()].flatMap((group): SubmissionRow[] => {
    const performance = group.get('performance');
    const [{ place }] = group.values() as unknown as [{ readonly place: Place }];
    if (!performance) {
      cautions.push(`${place.device} has no performance of ${place.benchmark}: it is left out`);
      return [];
    }
    const { file } = performance;
    const speed = latencyOf(file, cautions);
    const energy = group.get('energy');
    const accuracy = group.get('accuracy');
    return [
      {
        network: place.benchmark,
        device: place.device,
        runtime: null,
        precision: place.precision,
        date: null,
        latencyUs: speed.latencyUs,
        interval: null,
        energyUj: energy ? energyOf(energy.file) : null,
        ...(accuracy && !accuracy.place.isLog ? accuracyOf(accuracy.file) : { accuracy: null, auc: null }),
        row: speed.line,
        file: file.name,
      },
    ];
  });
  return { rows, cautions };
}

const linesOf = ({ text }: Given): string[] => text.split(/\r?\n/);

interface Found {
  readonly line: number;
  readonly match: RegExpExecArray;
}

const allOf = (file: Given, pattern: RegExp): Found[] =>
  linesOf(file).flatMap((text, i) => {
    const match = pattern.exec(text);
    return match ? [{ line: i + 1, match }] : [];
  });

/** The one value of a file that its runner says in words; undefined where it says none. */
function saidOnce(
  file: Given,
  pattern: RegExp,
  read: (found: Found, faults: Faults) => number | undefined,
): { readonly value: number; readonly line: number } | undefined {
  const faults = new Faults(file.name);
  const said = allOf(file, pattern).flatMap((found) => {
    const value = read(found, faults);
    return value === undefined ? [] : [{ value, line: found.line }];
  });
  const [first] = said;
  const other = said.find(({ value }) => value !== first?.value);
  if (first && other) faults.add(other.line, `${other.value} here, and ${first.value} in row ${first.line}`);
  faults.check();
  return first;
}

function latencyOf(file: Given, cautions: string[]): { readonly latencyUs: number; readonly line: number } {
  const [refusal] = allOf(file, /\be-\[(The run must take[^\]]{0,120})/);
  if (refusal)
    cautions.push(`${file.name}, row ${refusal.line}: the runner refused it: ${refusal.match[1]?.trim()}`);
  const rate = ({ match, line }: Found, faults: Faults): number | undefined =>
    positiveOf(match[1] as string, 'the throughput', line, faults);
  const median = saidOnce(file, /Median throughput is\s+(\S+)\s+inf\.?\/sec/, rate);
  if (median) return { latencyUs: 1e6 / median.value, line: median.line };
  const windows = windowsOf(file).sort((a, b) => a.latencyUs - b.latencyUs);
  // The runner's median of an even number of windows is not known: the lower of the two in the middle is one of them.
  const middle = windows[(windows.length - 1) >> 1];
  if (middle) return middle;
  const faults = new Faults(file.name);
  faults.add(1, 'it tells no throughput of a run');
  faults.check();
  throw new RangeError('unreachable: there is a fault');
}

/** Each window's throughput; where a log has none, the time between the device's own time stamps around its inferences. */
function windowsOf(file: Given): { readonly latencyUs: number; readonly line: number }[] {
  const faults = new Faults(file.name);
  const told = allOf(file, /Throughput\s*:\s+(\S+)\s+inf\.?\/sec/).flatMap(({ match, line }) => {
    const rate = positiveOf(match[1] as string, 'the throughput', line, faults);
    return rate === undefined ? [] : [{ latencyUs: 1e6 / rate, line }];
  });
  faults.check();
  if (told.length > 0) return told;
  const windows: { latencyUs: number; line: number }[] = [];
  let inferences = 0;
  let startUs: number | undefined;
  for (const { match, line } of allOf(file, /\bm-(?:infer-start-(\d{1,9})|lap-us-(\d{1,16}))\b/)) {
    if (match[1] !== undefined) {
      inferences = Number(match[1]);
      startUs = undefined;
    } else if (inferences > 0 && startUs === undefined) startUs = Number(match[2]);
    else if (startUs !== undefined) {
      const latencyUs = (Number(match[2]) - startUs) / inferences;
      if (latencyUs > 0) windows.push({ latencyUs, line });
      else faults.add(line, 'the time stamp is not after the one before the inferences');
      inferences = 0;
      startUs = undefined;
    }
  }
  faults.check();
  return windows;
}

function energyOf(file: Given): number | null {
  const pattern = /Median energy cost is\s+(\S+)\s+(\S+)\/inf/;
  const said = saidOnce(file, pattern, ({ match, line }, faults) => {
    const scale = microjoulesIn.get((match[2] as string).normalize('NFKC').toLowerCase());
    if (scale === undefined) return faults.add(line, `the energy has the unit ${JSON.stringify(match[2])}`);
    const value = positiveOf(match[1] as string, 'the energy', line, faults);
    return value === undefined ? undefined : value * scale;
  });
  return said?.value ?? null;
}

function accuracyOf(file: Given): { readonly accuracy: number | null; readonly auc: number | null } {
  const top = saidOnce(file, /Top[- ]1(?::\s*([\d.]+)\s*%|\s*%\s*=\s*([\d.]+))/, ({ match, line }, faults) =>
    shareOf(match[1] ?? (match[2] as string), 'the accuracy', true, line, faults),
  );
  const auc = saidOnce(file, /\bAUC\s*[:=]\s*([\d.]+)/, ({ match, line }, faults) =>
    shareOf(match[1] as string, 'the AUC', false, line, faults),
  );
  return { accuracy: top?.value ?? null, auc: auc?.value ?? null };
}
