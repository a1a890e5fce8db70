import type { Json } from '../../core/json.js';

type Manifest = { readonly [key: string]: Json };

/** One fact that differs: its path in the manifest, and what it was on both sides. */
export interface ManifestDifference {
  readonly path: string;
  readonly before: string;
  readonly since: string;
}

/** With fewer numbers on either side, ranges that do not overlap are chance. */
const leastNumbers = 4;

/**
 * What differs between the manifests before a change and since. A text, or a number that stays the same on each side, differs
 * where the two sides have different values. A number that varies differs where all its values on one side lie above
 * all on the other. A fact that only one side has differs, too.
 */
export function manifestDifference(
  before: readonly Manifest[],
  since: readonly Manifest[],
): ManifestDifference[] {
  if (before.length === 0 || since.length === 0) return [];
  const [old, now] = [before.map(factsOf), since.map(factsOf)];
  const paths = new Set([...old, ...now].flatMap((facts) => [...facts.keys()]));
  return [...paths].sort().flatMap((path) => {
    const [a, b] = [old, now].map((side) => side.map((facts) => facts.get(path) ?? null)) as [Fact[], Fact[]];
    const [wordA, wordB] = [constantOf(a), constantOf(b)];
    if (wordA !== undefined && wordB !== undefined)
      return wordA === wordB ? [] : [{ path, before: wordA, since: wordB }];
    const [rangeA, rangeB] = [rangeOf(a), rangeOf(b)];
    if (!rangeA || !rangeB || (rangeA[1] >= rangeB[0] && rangeB[1] >= rangeA[0])) return [];
    return [{ path, before: rangeA.join(' to '), since: rangeB.join(' to ') }];
  });
}

type Fact = string | number | boolean | null;

/** Leaves by their path; lists count as one text. */
function factsOf(manifest: Manifest): Map<string, Fact> {
  const facts = new Map<string, Fact>();
  const visit = (value: Json, path: string): void => {
    if (value !== null && typeof value === 'object' && !Array.isArray(value))
      for (const [key, inner] of Object.entries(value)) visit(inner, path === '' ? key : `${path}.${key}`);
    else facts.set(path, value !== null && typeof value === 'object' ? JSON.stringify(value) : value);
  };
  visit(manifest, '');
  return facts;
}

const constantOf = (facts: readonly Fact[]): string | undefined =>
  facts.every((fact) => fact === facts[0]) ? (facts[0] === null ? 'absent' : String(facts[0])) : undefined;

function rangeOf(facts: readonly Fact[]): readonly [number, number] | undefined {
  const numbers = facts.filter((fact): fact is number => typeof fact === 'number');
  if (numbers.length < Math.max(leastNumbers, facts.length)) return undefined;
  return [Math.min(...numbers), Math.max(...numbers)];
}
