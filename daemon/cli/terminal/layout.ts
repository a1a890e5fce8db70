import { inspect } from 'node:util';

/** What the place where text is shown can do. */
export interface Layout {
  /** Width of a line; null where nothing limits it: in a pipe or a file. */
  readonly columns: number | null;
  readonly colours: boolean;
}

/** Text for programs and files. */
export const plainLayout: Layout = { columns: null, colours: false };

/** What a piece of text tells by its colour; the words tell it too. */
export type Tone = 'title' | 'good' | 'bad' | 'caution' | 'faint';

const styles = { title: 'bold', good: 'green', bad: 'red', caution: 'yellow', faint: 'dim' } as const;

export const painted = (
  text: string,
  tone: Tone | undefined,
  { colours }: Pick<Layout, 'colours'>,
): string => (colours && tone && text !== '' ? sequences(styles[tone]).join(text) : text);

/** Begin and end of a style: ECMA-48, SGR. */
const sequences = (style: (typeof styles)[Tone]): string[] =>
  (inspect.colors[style] ?? []).map((code) => `\u001b[${code}m`);

/** The sequences that `painted` writes, and no others: bold, dim, red, green, yellow and their ends. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const ownSequences = /\u001b\[(?:1|2|22|31|32|33|39)m/;

/** Applies `change` to all text but the sequences of `painted`. */
export const betweenSequences = (text: string, change: (part: string) => string): string =>
  text
    .split(new RegExp(`(${ownSequences.source})`))
    .map((part, i) => (i % 2 === 1 ? part : change(part)))
    .join('');

const states: Readonly<Record<Tone, readonly string[]>> = {
  title: [],
  good: ['adopted', 'here', 'completed', 'valid', 'active', 'fastest', 'done', 'yes', 'better', 'kept'],
  bad: [
    'failed',
    'quarantined',
    'blocked',
    'invalid',
    'revoked',
    'drifted',
    'worse',
    'broken',
    'missed',
    'overlap',
  ],
  caution: [
    'running',
    'paused',
    'noisy',
    'throttled',
    'contended',
    'queued',
    'expired',
    'cut',
    'unclear',
    'started',
  ],
  faint: ['away', 'stopped', 'ignored', 'sighted', 'cancelled', 'none'],
};
const tones = new Map(
  (Object.entries(states) as [Tone, readonly string[]][]).flatMap(([tone, words]) =>
    words.map((word): [string, Tone] => [word, tone]),
  ),
);

/** The tone of a state by its first word: of a device, a study, a job, a verdict, a key. */
export const toneOfState = (text: string): Tone | undefined => tones.get(/^[a-z]+/.exec(text)?.[0] ?? '');
