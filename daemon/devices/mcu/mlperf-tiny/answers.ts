/** What a firmware said before one prompt. */
export interface Answer {
  /** Its own lines, from `m-` or `e-[` on: without echo, noise and what its operating system logs. */
  readonly lines: readonly AnswerLine[];
  /** When the prompt came, microseconds of this host's monotonic clock. */
  readonly endUs: number;
}

export interface AnswerLine {
  readonly text: string;
  /** When its end came, on the same clock. */
  readonly atUs: number;
}

const prompt = 'm-ready';
/** Longer lines are noise. */
const mostCharacters = 8192;
const mostRecent = 200;

/**
 * Cuts a firmware's text into answers. A prompt ends an answer with or without a line end, before and after it; lines end
 * with any mixture of CR and LF.
 */
export class AnswerReader {
  #line = '';
  #lines: AnswerLine[] = [];
  #recent = '';

  /** The last of what came, recognised or not. */
  get heard(): string {
    return this.#recent.replace(/\s+/g, ' ').trim();
  }

  push(bytes: Uint8Array, atUs: number): Answer[] {
    const answers: Answer[] = [];
    this.#recent = (this.#recent + String.fromCharCode(...bytes.slice(-mostRecent))).slice(-mostRecent);
    for (const byte of bytes) {
      if (byte === 0x0a || byte === 0x0d) {
        this.#close(atUs);
        continue;
      }
      if (this.#line.length < mostCharacters) this.#line += String.fromCharCode(byte);
      if (byte !== 0x79 || !this.#line.endsWith(prompt)) continue;
      this.#line = this.#line.slice(0, -prompt.length);
      this.#close(atUs);
      answers.push({ lines: this.#lines, endUs: atUs });
      this.#lines = [];
    }
    return answers;
  }

  /** Forgets what is not yet an answer. */
  clear(): void {
    this.#line = '';
    this.#lines = [];
  }

  #close(atUs: number): void {
    const at = this.#line.search(/m-[a-z[]|e-\[/);
    if (at >= 0) this.#lines.push({ text: this.#line.slice(at), atUs });
    this.#line = '';
  }
}

/** The first group of the first line that a pattern fits. */
export const found = ({ lines }: Answer, pattern: RegExp): string | undefined =>
  lines.flatMap(({ text }) => pattern.exec(text)?.[1] ?? [])[0];

/** The firmware started anew before this prompt. */
export const tellsOfStart = ({ lines }: Answer): boolean =>
  lines.some(({ text }) => text.startsWith('m-init-done'));

export const refusal = (answer: Answer): string | undefined => found(answer, /^(e-\[.*)$/);

export const named = (answer: Answer): string | undefined => found(answer, /^m-name-dut-\[(.*)\]$/);

export const modelled = (answer: Answer): string | undefined => found(answer, /^m-model-\[(.*)\]$/);

/** The numbers of `m-results-[…]` as they are written; undefined where there is no whole line of them. */
export const resulted = (answer: Answer): string | undefined =>
  found(answer, /^m-results-\[([-+0-9.,eE ]*)\]$/);

/** Times of one `infer`, as far as its answer is whole. */
export interface TimedRuns {
  /** Between the firmware's two time stamps, microseconds. Its clock has 32 bits: it wraps after 71 minutes. */
  readonly lapUs: number;
  /** When the second stamp came, on this host's clock. */
  readonly heardUs: number;
  readonly results: string;
}

/**
 * The answer to `infer RUNS 0`. `other`: of another command, so of an earlier one. `damaged`: of an `infer`, but not whole
 * or not of so many runs. `untimed`: whole, without time stamps: firmware built for energy measurement.
 */
export function readInfer(answer: Answer, runs: number): TimedRuns | 'other' | 'damaged' | 'untimed' {
  const { lines } = answer;
  if (!lines.some(({ text }) => /^m-(infer|warmup|lap)-/.test(text))) return 'other';
  const starts = lines.flatMap(({ text }, i) => (text.startsWith('m-infer-start') ? [i] : []));
  const end = lines.findIndex(({ text }) => text === 'm-infer-done');
  const [start] = starts;
  if (start === undefined || starts.length > 1 || end < start)
    return tellsOfStart(answer) ? 'other' : 'damaged';
  if (lines[start]?.text !== `m-infer-start-${runs}`) return 'damaged';
  const warmUp = lines.find(({ text }) => text.startsWith('m-warmup-start'));
  if (warmUp && warmUp.text !== 'm-warmup-start-0') return 'damaged';
  const results = resulted(answer);
  if (results === undefined) return 'damaged';
  const laps = lines.slice(start + 1, end).filter(({ text }) => text.startsWith('m-lap'));
  if (laps.length === 0) return lines.length > 4 ? 'untimed' : 'damaged';
  const [first, second] = laps.map(({ text }) => /^m-lap-us-(\d{1,10})$/.exec(text)?.[1]);
  if (laps.length !== 2 || first === undefined || second === undefined) return 'damaged';
  const lapUs = (Number(second) - Number(first) + 2 ** 32) % 2 ** 32;
  return { lapUs, heardUs: (laps[1] as AnswerLine).atUs, results };
}
