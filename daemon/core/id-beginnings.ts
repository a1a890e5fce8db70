/** How a person's word for an id was understood. */
export type FoundId =
  | { readonly id: string }
  /** Several begin with it. */
  | { readonly several: readonly string[] }
  /** None does; the ids that differ from it by a slip, the nearest first. */
  | { readonly near: readonly string[] };

/**
 * Finds the id that a word names: the id itself, or its unique beginning. Whole parts before a hyphen count first:
 * `emulated-rp2040` is `emulated-rp2040-pico` even where other ids begin so. A number is never cut: `study-1` is not `study-10`.
 * Six digits and more are part of a key, as in `browser-312345`.
 */
export function findId(ids: readonly string[], word: string): FoundId {
  if (ids.includes(word)) return { id: word };
  if (word === '') return { near: [] };
  const parts = ids.filter((id) => id.startsWith(`${word}-`));
  const cutsNumber = (id: string): boolean => /-\d{1,5}$/.test(id) && /\d$/.test(word);
  const begin = ids.filter((id) => id.startsWith(word) && !cutsNumber(id));
  const [only, ...others] = parts.length > 0 ? parts : begin;
  if (only !== undefined) return others.length === 0 ? { id: only } : { several: [only, ...others] };
  const most = Math.max(1, Math.floor(word.length / 4));
  const near = ids
    .map((id) => ({
      id,
      slips: Math.min(distance(word, id), distance(word, id.slice(0, word.length)) + 0.5),
    }))
    .filter(({ slips }) => slips <= most)
    .sort((a, b) => a.slips - b.slips);
  return { near: near.slice(0, 3).map(({ id }) => id) };
}

/** Characters inserted, left out, replaced or swapped with the next one: optimal string alignment. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwapped ? (before[j - 2] as number) + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min(replaced, swapped, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length] as number;
}
