import type { Rng } from '../../../core/rng.js';
import type { FrameFaults } from './altered-frames.js';
import type { LineFaults } from './faulty-line.js';
import type { ScriptedMlperfOptions } from './scripted-mlperf-board.js';

export type LinkKind = 'hilda' | 'mlperf-tiny';

/** What the seed decides of a fault. */
export interface Chance {
  readonly rng: Rng;
  /** What a measurement over the sound line takes, milliseconds: faults strike within it. */
  readonly spanMs: number;
}

export interface Fault {
  readonly name: string;
  readonly what: string;
  /**
   * `ends`: it goes away, and the next measurement must be valid and right. `stays`: the board is like that, and must be
   * measured right nonetheless. `told`: it stays, and no measurement may be valid.
   */
  readonly kind: 'ends' | 'stays' | 'told';
  /** It strikes a board that is open; otherwise half of those that end do. */
  readonly whileOpen?: true;
  /** What is wrong with the line; for both links. */
  readonly line?: (chance: Chance) => LineFaults;
  /** What is wrong with an MLPerf Tiny board; for scripted boards alone. */
  readonly mlperf?: (chance: Chance) => Partial<ScriptedMlperfOptions>;
  /** What is wrong with a board of hilda's own; by its frames. */
  readonly frames?: (chance: Chance) => FrameFaults;
}

const within = ({ rng, spanMs }: Chance): number => spanMs * (0.1 + 0.8 * rng.next());
const forever = Number.POSITIVE_INFINITY;

/** Faults of lines and boards, each seen on real ones. */
export const faultList: readonly Fault[] = [
  {
    name: 'garbage-on-open',
    what: 'random bytes when the port opens',
    kind: 'stays',
    line: ({ rng }) => ({ garbageBytes: 1 + Math.floor(200 * rng.next()) }),
  },
  {
    name: 'boot-3s',
    what: 'opening resets it, 3 s of boot',
    kind: 'stays',
    line: () => ({ bootOnOpenMs: 3000 }),
  },
  {
    name: 'boot-8s',
    what: 'opening resets it, 8 s of boot',
    kind: 'stays',
    line: () => ({ bootOnOpenMs: 8000 }),
  },
  {
    name: 'split-from-board',
    what: 'bytes arrive one to three at a time',
    kind: 'stays',
    line: ({ rng }) => ({ fromBoard: { splitBytes: 1 + Math.floor(3 * rng.next()) } }),
  },
  {
    name: 'split-to-board',
    what: 'bytes go out a few at a time',
    kind: 'stays',
    line: ({ rng }) => ({ toBoard: { splitBytes: 12 + Math.floor(20 * rng.next()), gapMs: 1 } }),
  },
  lossy('lost-from-board', 'one byte in 300 is lost on the way to the host', 'fromBoard', 'lose', 1 / 300),
  lossy('lost-to-board', 'one byte in 300 is lost on the way to the board', 'toBoard', 'lose', 1 / 300),
  lossy(
    'flipped-from-board',
    'one bit in 300 bytes flips on the way to the host',
    'fromBoard',
    'flip',
    1 / 300,
  ),
  lossy('flipped-to-board', 'one bit in 300 bytes flips on the way to the board', 'toBoard', 'flip', 1 / 300),
  lossy('doubled-from-board', 'one byte in 300 comes twice', 'fromBoard', 'repeat', 1 / 300),
  lossy('doubled-to-board', 'one byte in 300 goes out twice', 'toBoard', 'repeat', 1 / 300),
  lossy('very-lossy', 'one byte in 40 from the board is lost', 'fromBoard', 'lose', 1 / 40),
  lossy('lost-digits', 'one decimal digit in 12 from the board is lost', 'fromBoard', 'loseDigits', 1 / 12),
  lossy(
    'few-lost-digits',
    'one decimal digit in 150 from the board is lost',
    'fromBoard',
    'loseDigits',
    1 / 150,
  ),
  lossy('lost-replies', 'one piece in five from the board is lost', 'fromBoard', 'losePieces', 0.2),
  lossy('lost-requests', 'one piece in ten to the board is lost', 'toBoard', 'losePieces', 0.1),
  {
    name: 'late',
    what: 'every answer is 0.7 s late',
    kind: 'ends',
    line: () => ({ fromBoard: { delayMs: 700 } }),
  },
  {
    name: 'late-and-lost-digits',
    what: 'answers 0.7 s late, one digit in 12 lost',
    kind: 'ends',
    line: () => ({ fromBoard: { delayMs: 700, loseDigits: 1 / 12 } }),
  },
  {
    name: 'late-at-times',
    what: 'answers up to 3 s late',
    kind: 'ends',
    line: () => ({ fromBoard: { jitterMs: 3000 } }),
  },
  { name: 'echo', what: 'the line repeats what it is sent', kind: 'stays', line: () => ({ echo: true }) },
  {
    name: 'noise',
    what: 'random bytes between the answers',
    kind: 'ends',
    line: ({ rng }) => ({ noise: { everyMs: 40 + 200 * rng.next(), bytes: 3 } }),
  },
  {
    name: 'hang-4s',
    what: 'nothing passes for 4 s',
    kind: 'ends',
    line: (chance) => ({ hang: { atMs: within(chance), forMs: 4000 } }),
  },
  {
    name: 'hang',
    what: 'nothing passes any more',
    kind: 'ends',
    line: (chance) => ({ hang: { atMs: within(chance), forMs: forever } }),
  },
  {
    name: 'reset',
    what: 'the board resets by itself',
    kind: 'ends',
    line: (chance) => ({ resetsAtMs: [within(chance)] }),
  },
  {
    name: 'resets',
    what: 'the board resets every few seconds',
    kind: 'ends',
    line: (chance) => ({
      resetsAtMs: [1, 2, 3, 4, 5].map((i) => (i - 0.5 * chance.rng.next()) * 0.6 * chance.spanMs),
    }),
  },
  {
    name: 'unplugged',
    what: 'unplugged for 4 s',
    kind: 'ends',
    line: (chance) => ({ unplug: { atMs: within(chance), forMs: 4000 } }),
  },
  ...(
    [
      ['lf', 'lines end with LF', { lineEnd: '\n' }],
      ['cr', 'lines end with CR', { lineEnd: '\r' }],
      ['crcrlf', 'lines end with CR CR LF', { lineEnd: '\r\r\n' }],
      ['bare-prompt', 'no line end before or after a prompt', { promptBefore: '', promptAfter: '' }],
      [
        'slow-boot-text',
        'resets when opened, 8 s of boot, then its lines',
        { resetsOnOpen: true, bootMs: 8000 },
      ],
      [
        'slow-boot-early',
        'boots for 2.5 s, answers then to what came before',
        { resetsOnOpen: true, bootMs: 2500, keepsEarly: true },
      ],
      [
        'silent-boot',
        'resets when opened, boots without a word',
        { resetsOnOpen: true, bootMs: 2500, bootText: [] },
      ],
      ['chatty', 'its operating system logs lines', { chattyMs: 300 }],
      ['jitter', 'times jitter by 0.3 %', { jitter: 0.003 }],
    ] as const
  ).map(([name, what, how]): Fault => ({ name, what, kind: 'stays', mlperf: () => how })),
  ...(
    [
      ['slows-down', 'gets 0.03 % slower with each inference', { driftPerRun: 0.0003, jitter: 0.0002 }],
      ['throttles', 'takes twice as long from the 80th inference on', { throttleAfterRuns: 80 }],
      ['milliseconds', 'its time stamps count milliseconds', { stampsPerUs: 0.001 }],
      ['clock-jumps', 'its clock jumps by a second at every other stamp', { jumpEvery: 2, jumpUs: 1e6 }],
      ['energy', 'built for energy measurement: no times', { energy: true }],
      ['two-outputs', 'the same input gives other outputs', { randomOutputs: true }],
      ['very-jittery', 'times jitter by 30 %', { jitter: 0.3 }],
    ] as const
  ).map(([name, what, how]): Fault => ({ name, what, kind: 'told', mlperf: () => how })),
  {
    name: 'cycle-jitter',
    what: 'each operator takes 0 or 1 cycle more',
    kind: 'stays',
    frames: () => ({ tickNoise: 1 }),
  },
  {
    name: 'cycles-slow-down',
    what: 'each run takes 0.5 % more cycles than the one before',
    kind: 'told',
    frames: () => ({ driftPerRun: 0.005 }),
  },
  {
    name: 'lost-run-reply',
    what: 'the reply to the first run is lost',
    kind: 'ends',
    frames: () => ({ loseRunReplies: 1 }),
  },
  {
    name: 'slow-flash',
    what: 'filling its flash takes 12 s, of which it tells',
    kind: 'stays',
    frames: () => ({ slowFillMs: 12_000 }),
  },
  {
    name: 'old-slow-flash',
    what: 'firmware of before: filling its flash takes 9 s without a word',
    kind: 'stays',
    frames: () => ({ slowFillMs: 9000, oldFirmware: true }),
  },
  {
    name: 'another-board',
    what: 'it calls itself by another name',
    kind: 'ends',
    whileOpen: true,
    frames: () => ({ board: 'another-board' }),
    mlperf: () => ({ name: 'another board' }),
  },
];

function lossy(
  name: string,
  what: string,
  direction: 'toBoard' | 'fromBoard',
  how: 'lose' | 'flip' | 'repeat' | 'losePieces' | 'loseDigits',
  share: number,
): Fault {
  return { name, what, kind: 'ends', line: () => ({ [direction]: { [how]: share } }) };
}
