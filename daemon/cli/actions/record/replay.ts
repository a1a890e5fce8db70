import { mkdir } from 'node:fs/promises';
import { HildaError } from '../../../core/errors.js';
import type { Json } from '../../../core/json.js';
import type { Difference } from '../../../journal/difference.js';
import { readJournal } from '../../../journal/read-journal.js';
import { replayRun } from '../../../journal/replay-run.js';
import { replayStudy } from '../../../journal/replay-study.js';
import { hildaVersion, profilesDir } from '../../../process/installation.js';
import { ModelReader } from '../../../reading/model-reader.js';
import type { CliContext } from '../../context.js';

interface Options {
  readonly until?: number;
  readonly keep?: string;
  readonly anyVersion?: boolean;
}

/** Runs by itself: replaying needs neither daemon nor devices. Throws REPLAY_DIFFERS after it said where. */
export async function replayAction(
  context: CliContext,
  file: string,
  { until, keep, anyVersion = false }: Options,
): Promise<void> {
  const { terminal, signal } = context;
  const { clock } = terminal;
  const journal = await readJournal(file);
  const { subject, id, name, version } = journal.header;
  if (keep !== undefined) await mkdir(keep, { recursive: true });
  const models = new ModelReader({ clock });
  const options = {
    dataDir: keep ?? ':memory:',
    clock,
    profilesDir,
    version: hildaVersion(),
    anyVersion,
    signal,
    ...(until !== undefined && { until }),
  };
  try {
    const { difference, compared, measurements } =
      subject === 'study'
        ? await replayStudy(journal, options)
        : await replayRun(journal, { ...options, readNetwork: (bytes) => models.read(bytes) });
    const identical = difference === null;
    const told = { subject, id, name, version, identical, compared, measurements, difference };
    const what = subject === 'study' ? 'trials' : 'cases';
    context.answer('replay', told, () =>
      [
        `identical ${identical}`,
        `${compared} ${what} and ${measurements} measurements of ${id} (${name}) are the same.`,
        ...(difference ? [describe(difference)] : []),
        ...(keep === undefined ? [] : [`The rows are in ${keep}.`]),
      ].join('\n'),
    );
    if (difference)
      throw new HildaError('REPLAY_DIFFERS', describe(difference), { details: { ...difference } });
  } finally {
    await models.stop();
  }
}

function describe({ where, field, recorded, replayed }: Difference): string {
  const place = field === '' ? where : `${where}, ${field}`;
  return `${place}: ${shown(recorded)} was recorded, and ${shown(replayed)} came of the replay`;
}

const shown = (value: Json): string => {
  const text = JSON.stringify(value);
  return text.length > 300 ? `${text.slice(0, 300)}...` : text;
};
