import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Driver } from '../../daemon/devices/contract.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { networkFacts } from '../../daemon/measure/network-facts.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { floatTensor, type Graph } from '../../daemon/network/graph.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { readHere } from '../../daemon/reading/read-here.js';
import { Rollouts } from '../../daemon/rollouts/rollouts.js';
import { fileBlobs } from '../../daemon/store/file-blobs.js';
import { fileUploads } from '../../daemon/store/file-uploads.js';
import { openStore } from '../../daemon/store/open-store.js';
import { doublingNetwork } from '../../daemon/testing/doubling-network.js';
import { until } from '../until.js';

/** Networks of one structure: each version multiplies by another weight. */
export function versionOf(factor: number): Graph {
  const graph = doublingNetwork();
  const weights = Float32Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? factor : 0));
  return { ...graph, initializers: new Map([['w', floatTensor([4, 4, 1, 1], weights)]]) };
}

/** As it is once it was a file. */
export const asRead = (network: Graph): Graph => readOnnx(writeOnnx(network));
export const weightsOf = (network: Graph): string => networkFacts(asRead(network)).weightsHash;

export type World = Awaited<ReturnType<typeof openWorld>>;

/** Everything a rollout needs, over one data folder: `restart` drops all of it from memory and opens it anew. */
export async function openWorld(t: Test, driver: () => Driver, ofTrial?: Graph) {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-rollout-'));
  const clock = systemClock;
  const blobs = fileBlobs(join(dir, 'blobs'));
  const uploads = await fileUploads(join(dir, 'uploads'), clock);
  const places = {
    blobs,
    uploads,
    reading: readHere,
    readNetwork: async (bytes: Uint8Array) => readOnnx(bytes),
  };
  const open = async () => {
    const store = await openStore({ dataDir: join(dir, 'data'), clock });
    const pool = new DevicePool({ store, drivers: [driver()], clock });
    const jobs = new Jobs({ store, pool, clock, places, owner: 'here', retryMs: 5, gatherMs: 0 });
    const { signal } = new AbortController();
    await pool.start(signal);
    for (const { id } of await pool.discover({ signal })) await pool.adopt(id);
    await jobs.start(signal);
    const errors: string[] = [];
    const rollouts = new Rollouts({
      store,
      pool,
      jobs,
      clock,
      places,
      trial: async () => {
        if (!ofTrial) throw new Error('no studies here');
        return { onnx: writeOnnx(ofTrial), ranges: null };
      },
      onError: ({ message }) => void errors.push(message),
    });
    await rollouts.start();
    return { store, pool, jobs, rollouts, errors };
  };
  let now = await open();
  const close = async (): Promise<void> => {
    await now.rollouts.stop();
    await now.jobs.stop();
    await now.pool.stop();
    await now.store.close();
  };
  t.teardown(async () => {
    await close();
    await rm(dir, { recursive: true, force: true });
  });
  const upload = (network: Graph): Promise<string> => blobs.put(writeOnnx(network));
  return {
    get store() {
      return now.store;
    },
    get rollouts() {
      return now.rollouts;
    },
    get jobs() {
      return now.jobs;
    },
    get errors() {
      return now.errors;
    },
    upload,
    restart: async (): Promise<void> => {
      await close();
      now = await open();
    },
    /** One measurement of a network on a device: what its sisters promise. */
    measureOn: async (device: string, network: Graph): Promise<void> => {
      const { done } = await now.jobs.submit({
        work: { kind: 'measure', protocol: loadProtocol('quick'), calibration: null, ramBytes: null },
        network: { model: await upload(network) },
        devices: { device: device as DeviceId },
        owner: { kind: 'person' },
      });
      await done;
    },
    /** How the devices of a rollout stand, by step. */
    standing: async (id: string): Promise<Record<string, string[]>> => {
      const steps: Record<string, string[]> = {};
      for (const { deviceId, step } of await now.store.rolloutDevices(id)) {
        steps[step] ??= [];
        steps[step]?.push(deviceId);
      }
      return steps;
    },
    ended: (id: string, state: string): Promise<void> =>
      until(async () => (await now.store.rollout(id)).state === state, `${id} is ${state}`),
  };
}
