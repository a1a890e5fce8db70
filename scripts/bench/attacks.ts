/**
 * `npm run bench -- attacks [--only TEXT]`: attacks a real daemon, one row an attack, each on a daemon of its own. An attack is
 * refused where the daemon names a code other than INTERNAL, lives on, answers its health within the limit all the while, and
 * stays within the limit of memory. Prints a table; the last line is one JSON object.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatTable } from '../../daemon/cli/terminal/table.js';
import type { Attack } from './attacks/attack.js';
import { AttackedDaemon } from './attacks/attacked-daemon.js';
import { bombs, names } from './attacks/bombs.js';
import { costlyRequests } from './attacks/costly.js';
import { ends } from './attacks/ends.js';
import { networks } from './attacks/networks.js';
import { peers } from './attacks/peers.js';
import { rawRequests } from './attacks/raw.js';
import { floods, strangers } from './attacks/strangers.js';
import { users } from './attacks/users.js';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    /** Of one answer to /health; machines under load are slow. */
    silence: { type: 'string', default: '5000' },
    memory: { type: 'string', default: String(1024 * 2 ** 20) },
  },
});

interface Row {
  readonly kind: string;
  readonly name: string;
  readonly refused: boolean;
  readonly code: string;
  readonly silenceMs: number;
  readonly peakMb: number;
  readonly note: string;
}

async function row({ kind, name, run, prepare, options, ends: isEnd = false }: Attack): Promise<Row> {
  const daemon = await AttackedDaemon.start(await mkdtemp(join(tmpdir(), 'hilda-attacks-')), options);
  try {
    const prepared = prepare?.() ?? new Uint8Array();
    await daemon.watch();
    const { code, note = '' } = await run(daemon, prepared).catch((thrown: unknown) => ({
      code: null,
      note: String((thrown as { cause?: unknown }).cause ?? thrown),
    }));
    const alive = isEnd || !daemon.hasEnded;
    const healthy =
      isEnd ||
      (alive &&
        (await daemon.fetch('/health', { signal: AbortSignal.timeout(30_000) }).then(
          ({ status }) => status < 500,
          () => false,
        )));
    const peakBytes = await daemon.peakBytes();
    const silenceMs = daemon.longestMs;
    const refused =
      code !== null &&
      healthy &&
      (isEnd || silenceMs <= Number(flags.silence)) &&
      peakBytes <= Number(flags.memory);
    const why = alive ? note : `the daemon ended. ${daemon.log.slice(-200)}`;
    return { kind, name, refused, code: code ?? 'none', silenceMs, peakMb: peakBytes / 2 ** 20, note: why };
  } finally {
    await daemon.stop();
  }
}

const all = [
  ...strangers,
  ...users,
  ...networks,
  ...rawRequests,
  ...peers,
  ...floods,
  ...bombs,
  ...names,
  ...costlyRequests,
  ...ends,
];
const attacks = all.filter(({ kind, name }) => `${kind} ${name}`.includes(flags.only));
const rows: Row[] = [];
for (const attack of attacks) {
  const one = await row(attack);
  rows.push(one);
  const { refused, kind, name, code, silenceMs, peakMb, note } = one;
  console.error(
    `${refused ? 'refused' : 'HAD ITS WAY'}  ${kind}: ${name}  ${code}  ${silenceMs.toFixed(0)} ms  ${peakMb.toFixed(0)} MB  ${refused ? '' : note}`,
  );
}
console.log(
  formatTable<Row>(
    [
      { title: 'KIND', value: ({ kind }) => kind },
      { title: 'ATTACK', value: ({ name }) => name },
      { title: 'REFUSED', value: ({ refused }) => (refused ? 'yes' : 'NO') },
      { title: 'CODE', value: ({ code }) => code },
      { title: 'SILENCE MS', value: ({ silenceMs }) => silenceMs.toFixed(0), align: 'right' },
      { title: 'PEAK MB', value: ({ peakMb }) => peakMb.toFixed(0), align: 'right' },
    ],
    rows,
  ),
);
const refused = rows.filter((one) => one.refused).length;
const open = rows.filter((one) => !one.refused).map(({ kind, name, code }) => ({ kind, name, code }));
console.log(JSON.stringify({ bench: 'attacks', attacks: rows.length, refused, open }));
process.exit(refused === rows.length ? 0 : 1);
