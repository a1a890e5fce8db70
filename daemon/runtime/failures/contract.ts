import type { ErrorCode } from '../../core/errors.js';

/** Whom words accuse. No proof: a reference network runs before anybody is found at fault. */
export type Suspect = 'network' | 'device';

/** One way in which a runtime says that something failed. */
export interface FailureWords {
  readonly words: RegExp;
  readonly code: ErrorCode;
  /** Left out where the words fit either party. */
  readonly suspect?: Suspect;
  /** Memory ran out: of this moment, or for a network of this size. */
  readonly memory?: true;
  /** Release, document or report in which the words were seen. */
  readonly source: string;
}
