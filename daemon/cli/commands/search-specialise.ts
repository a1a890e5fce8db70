import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import type { FrontRowView, MeasurementView } from '../../api/schemas.js';
import { HildaError } from '../../core/errors.js';
import { act, type CliContext, type Terminal } from '../context.js';
import { formatMetric } from '../format.js';
import { readSpec } from '../read-input.js';
import { runStudies, type SearchedStudy } from '../run-studies.js';
import type { Column } from '../table.js';
import { winner } from '../winners.js';
import { measureModel } from './measure.js';

interface Options {
  readonly devices: string;
  readonly slack: string;
  readonly protocol: string;
  readonly out?: string;
}

/** One device's search, its winner, and what the winner costs everywhere. */
export interface SpecialisedRow {
  readonly device: string;
  readonly study: string;
  readonly trialNumber: number;
  readonly architectureId: string;
  readonly accuracy: number;
  /** Reference-normalised median latency in microseconds, by device; null where no valid measurement was had. */
  readonly latencyUs: Readonly<Record<string, number | null>>;
  readonly measurements: Readonly<Record<string, string>>;
  readonly provenance: Readonly<Record<string, string>>;
}

/**
 * ProxylessNAS's specialisation table (Cai, Zhu and Han 2019, table 4) on the user's own devices: one search a device,
 * then every winner is measured on every device. The winners have equal accuracy: each is the fastest front member on
 * its own device among those within `slack` of the least of the studies' best accuracies.
 */
export const searchSpecialiseCommand = (terminal: Terminal): Command =>
  new Command('specialise')
    .description('one search a device, then every winner measured on every device')
    .argument('<spec>', 'a study specification; its devices are replaced')
    .requiredOption('-d, --devices <ids>', 'two or more, separated by commas')
    .option('-s, --slack <share>', 'accuracy given up for speed, as a share of 1', '0.01')
    .option('-p, --protocol <name>', 'how the winners are measured', 'search')
    .option('-o, --out <file>', 'where the matrix is written as JSON')
    .action(
      act(terminal, async (context, file: string, options: Options) => {
        const devices = options.devices.split(',').map((device) => device.trim());
        if (devices.length < 2 || new Set(devices).size !== devices.length)
          throw new HildaError('USAGE_INVALID', '--devices: name at least two different devices');
        const slack = Number(options.slack);
        if (!(slack >= 0 && slack < 1))
          throw new HildaError('USAGE_INVALID', `--slack: ${options.slack} is no share of 1`);
        const spec = (await readSpec(file)) as Record<string, unknown>;
        const fronts = await runStudies(
          context,
          devices.map((device) => ({
            label: device,
            spec: { ...spec, name: `${spec.name ?? 'specialise'} for ${device}`, devices: [device] },
          })),
        );
        const rows = await measureAll(context, fronts, { slack, protocol: options.protocol });
        if (options.out) {
          const matrix = { schema: 'hilda.specialisation.v1', spec, devices, slack, rows };
          await writeFile(options.out, `${JSON.stringify(matrix, null, 2)}\n`);
        }
        context.answerTable(
          'specialisation',
          { devices, slack, rows },
          columns(devices),
          rows,
          'No device was searched.',
        );
      }),
    );

async function measureAll(
  context: CliContext,
  searched: readonly SearchedStudy[],
  { slack, protocol }: { readonly slack: number; readonly protocol: string },
): Promise<SpecialisedRow[]> {
  const { client, terminal } = context;
  const bests = searched.map(({ study, front }) => {
    const best = Math.max(...front.map(({ values }) => values.accuracy ?? Number.NEGATIVE_INFINITY));
    if (Number.isFinite(best)) return best;
    throw new HildaError('SPACE_INFEASIBLE', `the front of ${study} holds no accuracy`);
  });
  const level = Math.min(...bests) - slack;
  const rows: SpecialisedRow[] = [];
  for (const { label: device, study, front } of searched) {
    const limits = [{ metric: 'accuracy', relation: '>=', bound: level } as const];
    const chosen = winner(front, limits, { metric: 'latencyUs', goal: 'min' }) as FrontRowView;
    const { model } = await client.exportTrial(study, chosen.trialNumber, context);
    const taken: [string, MeasurementView][] = [];
    for (const { label: on } of searched) {
      terminal.note(`measuring the winner for ${device} on ${on}`);
      taken.push([on, await measureModel(context, { model, device: on, protocol })]);
    }
    const by = <T>(of: (m: MeasurementView) => T): Record<string, T> =>
      Object.fromEntries(taken.map(([on, measurement]) => [on, of(measurement)]));
    rows.push({
      device,
      study,
      trialNumber: chosen.trialNumber,
      architectureId: chosen.architectureId,
      accuracy: chosen.values.accuracy as number,
      latencyUs: by((m) => (m.verdict === 'valid' ? (m.latency?.normalisedUs ?? null) : null)),
      measurements: by((m) => m.id),
      provenance: by((m) => m.provenance),
    });
  }
  return rows;
}

const columns = (devices: readonly string[]): Column<SpecialisedRow>[] => [
  { title: 'SPECIALISED FOR', value: ({ device }) => device },
  { title: 'ACCURACY', align: 'right', value: ({ accuracy }) => formatMetric('accuracy', accuracy) },
  ...devices.map(
    (device): Column<SpecialisedRow> => ({
      title: `ON ${device}`,
      align: 'right',
      value: ({ latencyUs, provenance }) => {
        const value = latencyUs[device];
        const shown = value === null || value === undefined ? 'not valid' : formatMetric('latencyUs', value);
        return provenance[device] === 'emulated' ? `${shown} (emulated)` : shown;
      },
    }),
  ),
];
