import type { Checked } from './check-model.js';

export interface Row {
  readonly name: string;
  /** Package and version. */
  readonly from: string;
  readonly checked: Checked | string;
}

const kib = (bytes: number | null): string => (bytes === null ? '' : String(Math.ceil(bytes / 1024)));
/** The code of a refusal, and what it names. */
const brief = (text: string): string => (text === 'yes' ? 'yes' : (text.split('\n')[0]?.slice(0, 90) ?? ''));

/** Whether both counts were taken and are the same. */
const sameCounts = ({ counted, independent }: Checked): boolean =>
  typeof counted !== 'string' &&
  typeof independent !== 'string' &&
  counted.macs === independent.macs &&
  counted.parameters === independent.parameters &&
  counted.weightBytes === independent.weightBytes;

/** The bar of the int8 comparison: the same choices, or for models without any the same direction. */
const meetsBar = ({ int8 }: Checked): boolean =>
  typeof int8 !== 'string' && (int8.cosine >= 0.99 || (int8.top1 ?? 0) >= 0.95);

export function modelTable(rows: readonly Row[]): string {
  const lines = rows.map(({ name, from, checked }) => {
    if (typeof checked === 'string') return `| ${name} | ${from} | | ${brief(checked)} | | | | | |`;
    const { opset, host, hostUs, compiles, arenaBytes, flashBytes, int8, counted } = checked;
    const close =
      typeof int8 === 'string'
        ? ''
        : `${int8.cosine.toFixed(4)}${int8.top1 === null ? '' : `, ${(100 * int8.top1).toFixed(1)} %`}`;
    const macs = typeof counted === 'string' ? undefined : counted.macs;
    const mega = macs === undefined ? '?' : (macs / 1e6).toFixed(2);
    const ms = hostUs === null ? brief(host) : `${(hostUs / 1000).toFixed(2)} ms`;
    const size = compiles === 'yes' ? `${kib(arenaBytes)} / ${kib(flashBytes)} KiB` : brief(compiles);
    return `| ${name} | ${from} | ${opset} | ${ms} | ${mega} | ${sameCounts(checked) ? 'same' : 'differ'} | ${size} | ${close} |`;
  });
  return [
    '| file | package | opset | host | MMAC | counts | arena / flash | int8: cosine, same choices |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n');
}

export function sums(rows: readonly Row[]): Record<string, number> {
  const done = rows.flatMap(({ checked }) => (typeof checked === 'string' ? [] : [checked]));
  const count = (is: (checked: Checked) => boolean): number => done.filter(is).length;
  return {
    files: rows.length,
    host: count(({ host }) => host === 'yes'),
    compiles: count(({ compiles }) => compiles === 'yes'),
    meetsBar: count(meetsBar),
    sameCounts: count(sameCounts),
  };
}
