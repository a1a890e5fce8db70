import { HildaError } from '../../daemon/core/errors.js';
import type { Given } from './onnxruntime.js';

export type Stage = 'read' | 'shapes' | 'rewrite' | 'host' | 'int8' | 'c';

/** `skipped`: the stage does not apply, e.g. onnxruntime itself cannot load the model. */
export type Verdict =
  | { readonly is: 'ok' }
  | { readonly is: 'skipped'; readonly why: string }
  | { readonly is: 'refused'; readonly code: string; readonly why: string }
  | { readonly is: 'wrong'; readonly why: string }
  | { readonly is: 'crashed'; readonly why: string };

export const ok: Verdict = { is: 'ok' };
export const wrong = (why: string): Verdict => ({ is: 'wrong', why });
export const skipped = (why: string): Verdict => ({ is: 'skipped', why });

/** A typed error is a refusal; any other one, and INTERNAL, is a crash. */
export function thrownVerdict(thrown: unknown): Verdict {
  if (thrown instanceof HildaError && thrown.code !== 'INTERNAL')
    return { is: 'refused', code: thrown.code, why: thrown.message };
  return { is: 'crashed', why: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) };
}

export async function judged(stage: () => Verdict | Promise<Verdict>): Promise<Verdict> {
  try {
    return await stage();
  } catch (thrown) {
    return thrownVerdict(thrown);
  }
}

/** The worst of several: crashed, wrong, then ok before refused, since one way to run is enough. */
export function combined(verdicts: readonly Verdict[]): Verdict {
  for (const is of ['crashed', 'wrong', 'ok', 'refused', 'skipped'] as const) {
    const found = verdicts.find((verdict) => verdict.is === is);
    if (found) return found;
  }
  return skipped('nothing to do');
}

/** Says where two tensors differ in type, shape or any bit; undefined when they do not. Every NaN is the same. */
export function difference(a: Given | undefined, b: Given | undefined): string | undefined {
  if (!a || !b) return a === b ? undefined : 'one of them is missing';
  if (a.type !== b.type) return `type ${a.type} for ${b.type}`;
  if (a.dims.join() !== b.dims.join()) return `shape [${a.dims}] for [${b.dims}]`;
  const i = [...b.data].findIndex((value, k) => !Object.is(a.data[k], value));
  return i < 0 ? undefined : `element ${i} is ${a.data[i]} for ${b.data[i]}`;
}
