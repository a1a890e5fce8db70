/**
 * `npm run bench -- crash [--kills 1000] [--seed 1] [--kinds study,jobs,training,backup,migration] [--trials 36] [--abreast 4] [--keep FOLDER]`: whole daemons
 * over fast devices, killed by SIGKILL at random moments, most of them between tells; one blow in four falls while they start.
 * `--abreast` daemons share a process, each with a data folder of its own, so that one blow hits them all: `kills` counts
 * daemons, `blows` processes. Each folder is lived on until it is done: studies of three samplers, measurements and deployments, the training of a predictor,
 * backups beside a study, databases of earlier releases.
 *
 * After each kill the folder is held against what clients were told. Bars, all 0: `lost` (told and gone, or otherwise),
 * `doubled` (stored or told twice), `corrupt` (`hilda check` and PRAGMA integrity_check), `orphans` (processes that outlive
 * their daemon by a minute), `differing` (another end than an unbroken run's, proposals and values), `failed` (lives that ended
 * by themselves).
 */
import { parseArgs } from 'node:util';
import { killDaemons } from '../../test/crash/kill-daemons.js';
import type { SceneKind } from '../../test/crash/scenes.js';

const { values: flags } = parseArgs({
  options: {
    kills: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    kinds: { type: 'string' },
    trials: { type: 'string', default: '36' },
    abreast: { type: 'string', default: '4' },
    /** Data folders with a finding are copied here. */
    keep: { type: 'string' },
  },
});
const startMs = performance.now();
const told = new Set<string>();
const { findings, ...figures } = await killDaemons({
  kills: Number(flags.kills),
  seed: Number(flags.seed),
  trials: Number(flags.trials),
  abreast: Number(flags.abreast),
  keep: flags.keep,
  ...(flags.kinds !== undefined && { kinds: flags.kinds.split(',') as SceneKind[] }),
  onRound: (kills, { lost, doubled, corrupt }) => {
    console.error(
      `${kills} kills: ${lost.length} lost, ${doubled.length} doubled, ${corrupt.length} corrupt`,
    );
    for (const finding of [...lost, ...doubled, ...corrupt]) if (!told.has(finding)) console.error(finding);
    for (const finding of [...lost, ...doubled, ...corrupt]) told.add(finding);
  },
});
for (const finding of findings) if (!told.has(finding)) console.error(finding);
const seconds = Math.round((performance.now() - startMs) / 1000);
console.log(JSON.stringify({ bench: 'crash', figures: { ...figures, seconds } }));
process.exit(findings.length > 0 || figures.orphans > 0 ? 1 : 0);
