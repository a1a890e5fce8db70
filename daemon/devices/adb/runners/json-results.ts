import { checkedReport, emptyReport, type RunnerReport, readFigure, unreadable } from './report.js';

const name = 'the runner';

/**
 * Reads results as llama-bench writes them (ggml-org/llama.cpp, tools/llama-bench): an array of objects, an object a
 * line, or a table with quoted fields. Nanoseconds: `avg_ns`, `stddev_ns`, `samples_ns`; besides them `load_ns`,
 * `first_ns` and `peak_bytes`. There must be one result: two would leave open which is the network's. Throws
 * RUNNER_OUTPUT_INVALID.
 */
export function readJsonResults(output: string): RunnerReport {
  const text = output.replaceAll('\r', '');
  const results = /^\s*\[/m.test(text) || /^\s*\{/m.test(text) ? jsonResults(text) : tableResults(text);
  const [result] = results;
  if (result === undefined) throw unreadable(name, 'it printed no result with avg_ns or samples_ns', output);
  if (results.length > 1)
    throw unreadable(name, `it printed ${results.length} results, where one is needed`, output);
  const figure = (key: string): number | null => {
    const value = own(result, key);
    if (value === undefined || value === null || value === '') return null;
    return us(value, key);
  };
  const us = (value: unknown, what: string): number =>
    (typeof value === 'number' ? value : readFigure(String(value), { runner: name, what, output })) / 1000;
  const samples = own(result, 'samples_ns');
  if (samples !== undefined && !Array.isArray(samples))
    throw unreadable(name, 'samples_ns is no array', output);
  const peak = own(result, 'peak_bytes') ?? '';
  const peakBytes =
    peak === ''
      ? null
      : typeof peak === 'number'
        ? peak
        : readFigure(String(peak), { runner: name, what: 'peak_bytes', output });
  if (peakBytes !== null && !Number.isSafeInteger(peakBytes))
    throw unreadable(name, `peak_bytes is ${JSON.stringify(peak)}, which is no whole number`, output);
  return checkedReport(
    {
      ...emptyReport,
      form: 'results as of llama-bench',
      runs: samples ? samples.length : null,
      samplesUs: samples ? samples.map((sample, i) => us(sample, `samples_ns[${i}]`)) : null,
      meanUs: figure('avg_ns'),
      deviationUs: figure('stddev_ns'),
      loadUs: figure('load_ns'),
      firstRunUs: figure('first_ns'),
      peakBytes,
      version: versionOf(result),
    },
    name,
    output,
  );
}

type Result = Readonly<Record<string, unknown>>;

const own = (result: Result, key: string): unknown => (Object.hasOwn(result, key) ? result[key] : undefined);

const isResult = (value: unknown): value is Result =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  (Object.hasOwn(value, 'avg_ns') || Object.hasOwn(value, 'samples_ns'));

/** An array in the midst of other lines, or lines that are objects each. */
function jsonResults(text: string): Result[] {
  const start = text.search(/^[^\S\n]*\[\s*[{\]]/m);
  if (start >= 0) {
    const array = parsed(text.slice(start, text.lastIndexOf(']') + 1));
    if (!Array.isArray(array)) throw unreadable(name, 'the array of results is cut off or damaged', text);
    return array.filter(isResult);
  }
  const whole = parsed(text.slice(text.indexOf('{')));
  if (isResult(whole)) return [whole];
  return text.split('\n').flatMap((line) => {
    if (!line.trimStart().startsWith('{')) return [];
    const value = parsed(line);
    if (value === undefined) throw unreadable(name, 'a line of JSON is cut off or damaged', text);
    return isResult(value) ? [value] : [];
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function tableResults(text: string): Result[] {
  const rows = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(fieldsOf);
  const head = rows.findIndex((row) => row.includes('avg_ns'));
  const columns = rows[head];
  if (!columns) return [];
  if (!text.endsWith('\n')) throw unreadable(name, 'the table is cut off', text);
  return rows.slice(head + 1).flatMap((row) => {
    if (row.length === 1) return [];
    if (row.length !== columns.length)
      throw unreadable(name, `a row has ${row.length} of ${columns.length} fields`, text);
    return [Object.fromEntries(columns.map((column, i) => [column, row[i]]))];
  });
}

/** RFC 4180, section 2: fields may be quoted, quotes in them are doubled. */
function fieldsOf(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, bare = '']) =>
    (quoted ?? bare).replaceAll('""', '"'),
  );
}

function versionOf(result: Result): string | null {
  const [commit, build] = [own(result, 'build_commit'), own(result, 'build_number')];
  const parts = [build, commit].filter((part) => typeof part === 'string' || typeof part === 'number');
  return parts.length > 0 ? parts.join(' ') : null;
}
