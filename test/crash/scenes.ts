import { join } from 'node:path';
import type { DaemonClient } from '../../daemon/api/client.js';
import { systemClock } from '../../daemon/core/clock.js';
import { asHildaError } from '../../daemon/core/errors.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { backUp } from '../../daemon/store/upkeep/backup.js';
import { doublingNetwork } from '../../daemon/testing/doubling-network.js';
import { smallSpace, smallSpec } from '../study/bench.js';

/** What a daemon does in one life after the other until it is done; it is killed meanwhile. */
export type SceneKind = 'study' | 'jobs' | 'training' | 'backup' | 'migration';

export interface Scene {
  readonly kind: SceneKind;
  readonly dataDir: string;
  /** Tables and backups lie here; it stays as long as the data folder. */
  readonly besides: string;
  readonly sampler: string;
  readonly seed: number;
  readonly trials: number;
}

/** Something that a client was told, and that must be so from then on. */
export type Acknowledged =
  | { readonly of: 'trial'; readonly study: string; readonly number: number; readonly said: string }
  | { readonly of: 'job'; readonly key: string; readonly id: string; readonly said: string }
  | { readonly of: 'campaign'; readonly id: string; readonly said: string }
  | { readonly of: 'deployment'; readonly device: string; readonly said: string }
  | { readonly of: 'backup'; readonly folder: string };

export interface SceneContext {
  readonly client: DaemonClient;
  /** Asks the API what the client has no method for. */
  readonly post: (path: string, body: object, idempotencyKey: string) => Promise<{ readonly id: string }>;
  readonly say: (what: Acknowledged) => void;
  readonly signal: AbortSignal;
}

const lookMs = 10;

export async function perform(scene: Scene, context: SceneContext): Promise<void> {
  switch (scene.kind) {
    case 'study':
      return search(scene, context);
    case 'jobs':
      return measure(scene, context);
    case 'training':
      return train(scene, context);
    case 'backup': {
      const ended = new AbortController();
      const copying = copyAgainAndAgain(scene, context, ended.signal);
      await search(scene, context).finally(() => ended.abort());
      return copying;
    }
    // To have started is all.
    case 'migration':
      return;
  }
}

/** One study, begun once and resumed in each life. */
async function search(
  { besides, sampler, seed, trials }: Scene,
  { client, say, signal }: SceneContext,
): Promise<void> {
  const options = { signal };
  const changes = {
    sampler: { name: sampler },
    seed,
    budget: { trials },
    devices: ['fake-0', 'fake-1'],
    objectives: undefined,
  };
  const [left] = await client.studies(options);
  const study = left ?? (await client.createStudy(await smallSpec(besides, changes), options));
  if (study.state === 'paused') await client.act(study.id, 'resume', options);
  const told = new Set<number>();
  for (let isOver = false; !isOver; ) {
    isOver = ['completed', 'failed', 'stopped'].includes(
      (await client.study(study.id, options)).record.state,
    );
    for (const { number, state, values, architectureId } of await client.trials(study.id, options)) {
      if (state === 'asked' || told.has(number)) continue;
      told.add(number);
      say({ of: 'trial', study: study.id, number, said: JSON.stringify([architectureId, state, values]) });
    }
    if (!isOver) await systemClock.sleep(lookMs);
  }
}

const keys = 12;

/** Measurements by the keys of their client, which asks again in each life, and what each device holds in the end. */
async function measure(_: Scene, { client, post, say, signal }: SceneContext): Promise<void> {
  const options = { signal };
  const { sha256: model } = await client.uploadModel(writeOnnx(doublingNetwork()), options);
  const asked = Array.from({ length: keys }, async (_, n) => {
    const key = `key-${n}`;
    const device = `fake-${n % 2}`;
    const { id } = await post('/measurements?wait=false', { model, device, protocol: 'quick' }, key);
    const ended = await client.ended(await client.job(id, options), {
      ...options,
      clock: systemClock,
      everyMs: lookMs,
    });
    say({ of: 'job', key, id, said: JSON.stringify([ended.state, ended.measurement?.id ?? null]) });
  });
  await Promise.all(asked);
  for (const device of ['fake-0', 'fake-1']) {
    const { structureHash } = await client.deploy({ model, device }, options);
    say({ of: 'deployment', device, said: structureHash });
  }
}

/** A predictor, whose campaign goes on in each life. */
async function train({ seed }: Scene, { client, say, signal }: SceneContext): Promise<void> {
  const options = { signal };
  const [left] = (await client.campaigns({}, options)).campaigns;
  const request = { device: 'fake-0', space: smallSpace, samples: 25, seed, protocol: 'quick' };
  let campaign = left ?? (await client.startCampaign(request, options));
  while (campaign.state === 'running') {
    await systemClock.sleep(lookMs);
    campaign = await client.campaign(campaign.id, options);
  }
  say({ of: 'campaign', id: campaign.id, said: JSON.stringify([campaign.state, campaign.predictorId]) });
}

async function copyAgainAndAgain(
  { dataDir, besides }: Scene,
  { say }: SceneContext,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const folder = join(besides, `backup-${systemClock.nowMs()}`);
    try {
      await backUp(dataDir, folder, systemClock.nowMs());
      say({ of: 'backup', folder });
    } catch (thrown) {
      // A file that goes while it is copied, or two copies within a millisecond.
      if (asHildaError(thrown).code === 'INTERNAL') throw thrown;
    }
    await systemClock.sleep(5);
  }
}
