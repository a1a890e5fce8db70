import { type Command, InvalidArgumentError } from 'commander';

/** Where the values of one input come from, as `--input NAME=…` says. */
export type InputSource =
  | { readonly range: readonly [low: number, high: number] }
  | { readonly value: number | boolean | string }
  | { readonly path: string };

/** What `--dim`, `--shape` and `--input` gave, by name. */
export interface InputOptions {
  readonly dim: ReadonlyMap<string, number>;
  readonly shape: ReadonlyMap<string, readonly number[]>;
  readonly input: ReadonlyMap<string, InputSource>;
}

/** The options by which a command takes open dimensions and inputs. */
export const withInputOptions = (command: Command): Command =>
  command
    .option('--dim <name=size>', 'size of an open dimension by its name; repeatable', each(sizeOf), new Map())
    .option(
      '--shape <input=sizes>',
      'shape of an input, e.g. x=1,3,48,192; repeatable',
      each(shapeOf),
      new Map(),
    )
    .option(
      '--input <input=values>',
      'what an input holds: FILE.npy, FILE.json, a raw FILE, range:0,10, a number, true, text:WORD; repeatable',
      each(sourceOf),
      new Map(),
    );

/** Adds `name=…` to what was given before. */
const each =
  <T>(read: (text: string) => T) =>
  (given: string, before: ReadonlyMap<string, T>): ReadonlyMap<string, T> => {
    const at = given.indexOf('=');
    const name = given.slice(0, at);
    if (at < 1) throw new InvalidArgumentError('It must be NAME=…');
    if (before.has(name)) throw new InvalidArgumentError(`${name} is given twice.`);
    return new Map([...before, [name, read(given.slice(at + 1))]]);
  };

function sizeOf(text: string): number {
  const size = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(size) || size < 1)
    throw new InvalidArgumentError('A size must be a whole number from 1.');
  return size;
}

/** Sizes with commas; nothing for a scalar. */
const shapeOf = (text: string): readonly number[] => (text === '' ? [] : text.split(',').map(sizeOf));

function sourceOf(text: string): InputSource {
  if (text === '') throw new InvalidArgumentError('It names no values.');
  if (text.startsWith('text:')) return { value: text.slice(5) };
  if (text.startsWith('range:')) {
    const ends = text.slice(6).split(',');
    const [low, high] = ends.map(Number) as [number, number];
    if (
      ends.length !== 2 ||
      ends.some((end) => end.trim() === '') ||
      !(low <= high) ||
      !Number.isFinite(high - low)
    )
      throw new InvalidArgumentError('A range must be range:LOW,HIGH with finite numbers, LOW first.');
    return { range: [low, high] };
  }
  if (text === 'true' || text === 'false') return { value: text === 'true' };
  if (/^[-+]?(\d|\.\d)/.test(text) && Number.isFinite(Number(text))) return { value: Number(text) };
  return { path: text };
}
