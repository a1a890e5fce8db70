import { exportRun } from '../../journal/export-run.js';
import { exportStudy } from '../../journal/export-study.js';
import { Answer, defineRoute, octets } from '../route.js';
import { asStudyId, type DaemonServices } from '../services.js';

const partsOf = ({ store, version, clock }: DaemonServices) => ({ store, version, nowMs: clock.nowMs() });

export const journalRoutes = [
  defineRoute({
    method: 'get',
    path: '/studies/{id}/journal',
    summary:
      'All that a study heard from devices and evaluators, and what it made of it, as a file for `hilda replay`',
    answer: { status: 200, schema: octets },
    handle: async ({ services, params }) =>
      new Answer(await exportStudy(asStudyId(params.id), partsOf(services)), { type: octets }),
  }),
  defineRoute({
    method: 'get',
    path: '/benchmarks/{id}/journal',
    summary: 'All that a run that ended heard from devices, with its models, as a file for `hilda replay`',
    answer: { status: 200, schema: octets },
    handle: async ({ services, params }) => {
      const places = [services.uploads, services.blobs];
      return new Answer(await exportRun(params.id, { ...partsOf(services), places }), { type: octets });
    },
  }),
];
