import type { Change, ChangeEvent, SeriesPoint } from './contract.js';
import { leastSize, longestEpisode } from './sizes.js';

/**
 * Watches a series that is counted without error, such as bytes, or cycles of an emulator: another value is a change, at once. It
 * has the methods of `ChangeWatch` for series with noise.
 */
export class ExactWatch {
  #level: number | undefined;
  #position = 0;
  #changes: Change[] = [];
  readonly suspicion = undefined;

  get changes(): readonly Change[] {
    return this.#changes;
  }

  push({ value }: SeriesPoint): ChangeEvent | undefined {
    const position = this.#position++;
    const level = this.#level ?? value;
    this.#level ??= value;
    if (Math.abs(Math.log(value / level)) < leastSize) return undefined;
    this.#level = value;
    const ratio = value / level;
    const last = this.#changes.at(-1);
    if (
      last &&
      last.returnedAt === undefined &&
      position - last.since <= longestEpisode &&
      Math.abs(Math.log(last.ratio * ratio)) < leastSize
    ) {
      const change = { ...last, returnedAt: position };
      this.#changes[this.#changes.length - 1] = change;
      return { kind: 'returned', change };
    }
    const change: Change = {
      since: position,
      sinceInterval: [position, position],
      ratio,
      ratioCi: [ratio, ratio],
      foundAt: position,
      cause: 'series',
    };
    this.#changes.push(change);
    return { kind: 'changed', change };
  }
}
