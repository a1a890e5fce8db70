import type { Interval } from './intervals.js';

/** What an evaluated value rests on. */
export interface Evidence {
  /** 95 % interval of the value; null where nothing tells it: imported values, and numbers that come bare. */
  readonly ci: Interval | null;
  /** Images that the value was counted on; null where nobody said. */
  readonly images: number | null;
  /**
   * Images on which a device's own network was compared with the float one, whose accuracy is of all `images`; null where
   * the scored network itself saw all images.
   */
  readonly compared: number | null;
  /** Whose value it is: the data, the table or the program. */
  readonly source: string;
}

/** By metric. */
export type EvidenceOf = Readonly<Record<string, Evidence>>;

/** Which images of a set a network got right. */
export interface Answers {
  /** Names the images and their order: answers of one set compare image by image. */
  readonly set: string;
  /** 1 for each image that was right, else 0; the first images of the set. */
  readonly right: Uint8Array;
}

/** By metric. Those of the float network stand under `floatAccuracy`, also where `accuracy` is theirs. */
export type AnswersOf = Readonly<Record<string, Answers>>;
