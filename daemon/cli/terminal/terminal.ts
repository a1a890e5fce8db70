import type { Clock } from '../../core/clock.js';
import type { Layout } from './layout.js';

/** What a command sees of the outside. Data goes to `out`, progress to `note`; the layout is that of `out`. */
export interface Terminal extends Layout {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether `status` shows something: stderr is a terminal that can rewrite a line. */
  readonly interactive: boolean;
  out(text: string): void;
  note(text: string): void;
  /** Shows one line below all others, in place of the one before. The next `out` or `note` removes it. */
  status(text: string): void;
}
