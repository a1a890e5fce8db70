import type { NetworkSources } from '../benchmarks/suites/resolve.js';
import { HildaError } from '../core/errors.js';
import type { StudyId } from '../core/ids.js';
import { Xoshiro128 } from '../core/rng.js';
import { canonicalText } from '../network/canonical-text.js';
import { writeOnnx } from '../network/write-onnx.js';
import { loadSpace } from '../search/spaces/registry.js';
import { findSpace } from './parts.js';
import type { StudyService } from './service.js';
import { winner } from './winner.js';

/** Draws for each sample that is wanted: small spaces have few networks. */
const triesEach = 100;

/**
 * Networks of studies and spaces for benchmark suites. Throws STUDY_UNKNOWN, NOT_FOUND, SPACE_INFEASIBLE where no front member
 * is within the limits or the space has fewer networks, and STATE_CONFLICT for a trial that is not complete.
 */
export const suiteNetworks = (
  studies: Pick<StudyService, 'fronts' | 'exportTrial'>,
  profilesDir: string,
): NetworkSources => ({
  winner: async ({ study, trial, best = 'accuracy', goal = 'max', limits = [] }) => {
    const id = study as StudyId;
    if (trial !== undefined) return (await studies.exportTrial(id, trial)).onnx;
    const { front, devices } = await studies.fronts(id);
    const rows = [...front, ...devices.flatMap((one) => one.front)];
    const chosen = winner(rows, limits, { metric: best, goal });
    if (!chosen)
      throw new HildaError(
        'SPACE_INFEASIBLE',
        `no front member of ${study} has ${best} and is within the limits`,
      );
    return (await studies.exportTrial(id, chosen.trialNumber)).onnx;
  },

  samples: async ({ space: name, samples, seed }) => {
    const space = loadSpace(findSpace(name, profilesDir));
    const rng = Xoshiro128.fromSeed(seed);
    const drawn = new Map<string, Uint8Array>();
    for (let tries = 0; drawn.size < samples && tries < triesEach * samples; tries++) {
      const network = space.network(space.sample(rng));
      const text = canonicalText(network);
      if (!drawn.has(text)) drawn.set(text, writeOnnx(network));
    }
    if (drawn.size < samples)
      throw new HildaError('SPACE_INFEASIBLE', `${name} gave ${drawn.size} of ${samples} networks`);
    return [...drawn.values()];
  },
});
