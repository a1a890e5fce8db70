import { systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import { type Rng, randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import type { Coverage } from './coverage.js';

/** Something that reads what others wrote. */
export interface FuzzTarget<Input> {
  readonly name: string;
  readonly seeds: () => Promise<readonly Input[]> | readonly Input[];
  readonly mutate: (given: Input, corpus: readonly Input[], rng: Rng) => Input;
  /** Throws what the reader throws. What it resolves to may be anything. */
  readonly run: (input: Input) => unknown;
  /** Errors that are no fault though they are not the reader's: none by default. */
  readonly isTyped?: (thrown: unknown) => boolean;
  readonly show?: (input: Input) => string;
  readonly close?: () => Promise<void>;
}

export interface FuzzFigures {
  readonly inputs: number;
  readonly corpus: number;
  readonly blocks: number;
  /** Read without an error. */
  readonly accepted: number;
  readonly untyped: number;
  /** Took more than a second of the processor. */
  readonly slow: number;
  readonly overMemory: number;
  readonly findings: readonly string[];
}

/** Inputs between two looks at the coverage, all of one parent. */
const batch = 16;
const slowUs = 1_000_000;
const mostRss = 1536 * 2 ** 20;
const mostFindings = 40;

/** Long, for machines with other work. */
const hangMs = 60_000;
class Hang extends Error {}

const typed = (thrown: unknown): boolean => thrown instanceof HildaError && thrown.code !== 'INTERNAL';

/** Changes inputs at random; those that reach code that none reached before are kept and changed further. */
export async function fuzz<Input>(
  target: FuzzTarget<Input>,
  {
    seed,
    inputs,
    coverage,
  }: { readonly seed: number; readonly inputs: number; readonly coverage: Coverage | null },
): Promise<FuzzFigures> {
  const rng = Xoshiro128.fromSeed(seed);
  const corpus = [...(await target.seeds())];
  const seen = new Set<string>();
  const findings: string[] = [];
  let [accepted, untyped, slow, overMemory, done] = [0, 0, 0, 0, 0];
  let hung = false;

  const note = (kind: string, input: Input, thrown: unknown): void => {
    const why = thrown instanceof Error ? `${thrown.name}: ${thrown.message.slice(0, 200)}` : String(thrown);
    const place = thrown instanceof Error ? placeOf(thrown) : '';
    // One example of each place is enough.
    const name = `${kind} ${place || why}`;
    if (seen.has(name) || findings.length >= mostFindings) return;
    seen.add(name);
    findings.push(`${target.name}: ${kind}: ${why} ${place}\n  ${shown(target, input)}`);
  };
  const run = async (input: Input): Promise<void> => {
    const before = process.cpuUsage();
    const over = new AbortController();
    try {
      const late = systemClock.sleep(hangMs, { signal: over.signal }).then(() => {
        throw new Hang(`nothing after ${hangMs} ms`);
      });
      late.catch(() => {});
      await Promise.race([target.run(input), late]);
      accepted++;
    } catch (thrown) {
      if (thrown instanceof Hang) {
        slow++;
        note('hang', input, thrown);
        hung = true;
      } else if (!typed(thrown) && !target.isTyped?.(thrown)) {
        untyped++;
        note('untyped', input, thrown);
      }
    } finally {
      over.abort();
    }
    const { user, system } = process.cpuUsage(before);
    if (user + system < slowUs) return;
    slow++;
    note('slow', input, `${Math.round((user + system) / 1000)} ms`);
  };

  for (const one of corpus) await run(one);
  accepted = untyped = slow = 0;
  await coverage?.fresh();
  // What goes on without an end would be counted with the next ones.
  while (done < inputs && !hung) {
    const latest = Math.min(16, corpus.length);
    const parent = corpus[
      rng.next() < 0.3 ? corpus.length - 1 - randomInt(rng, latest) : randomInt(rng, corpus.length)
    ] as Input;
    const children = Array.from({ length: Math.min(batch, inputs - done) }, () =>
      target.mutate(parent, corpus, rng),
    );
    done += children.length;
    for (const child of children) if (!hung) await run(child);
    if (process.memoryUsage.rss() > mostRss) {
      overMemory++;
      note('memory', children.at(-1) as Input, `${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`);
    }
    if (!coverage || (await coverage.fresh(false)) === 0) continue;
    // One of them reached something new: which one?
    const counted = { accepted, untyped, slow };
    for (const child of children) {
      await run(child);
      if ((await coverage.fresh()) > 0) corpus.push(child);
    }
    ({ accepted, untyped, slow } = counted);
  }
  await target.close?.();
  return {
    inputs: done,
    corpus: corpus.length,
    blocks: coverage?.blocks ?? 0,
    accepted,
    untyped,
    slow,
    overMemory,
    findings,
  };
}

/** Where an error of another kind came from. */
const placeOf = ({ stack = '', cause }: Error): string =>
  /at .*\/dist\/(?:daemon|firmware-bridge)\/.*/.exec(stack)?.[0].trim() ??
  (cause instanceof Error ? placeOf(cause) : '');

function shown<Input>({ show }: FuzzTarget<Input>, input: Input): string {
  const text = show
    ? show(input)
    : input instanceof Uint8Array
      ? Buffer.from(input).toString('base64')
      : typeof input === 'string'
        ? JSON.stringify(input)
        : JSON.stringify(input);
  return text.length > 4000 ? `${text.slice(0, 4000)}...` : text;
}
