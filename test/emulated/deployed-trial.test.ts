import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { npyBytes } from '../../daemon/data/write-npy.js';
import type { Device, Examples } from '../../daemon/devices/contract.js';
import { EmulatedDriver } from '../../daemon/devices/mcu/emulated-driver.js';
import { allFromBoard, allToBoard } from '../../daemon/devices/mcu/int8-tensors.js';
import type { Graph } from '../../daemon/network/graph.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { type CompiledNetwork, compile, Reference } from '../../firmware-bridge/compiler/index.js';
import { findQemu } from '../../firmware-bridge/emulator/qemu-board.js';
import { roomyBoard } from '../agreement/int8-stage.js';
import { runCommand } from '../cli/run-command.js';
import { ownerFetch } from '../owner-fetch.js';

t.setTimeout(600_000);
/** Skipped only where QEMU cannot be had; CI installs it and forbids the skip. */
const noQemu = findQemu() === null && !process.env.CI ? 'qemu-system-arm is not installed' : false;

/** What a study had a board classify: its network, compiled with the ranges of that moment, examples and answers. */
interface Scored {
  readonly network: Graph;
  readonly compiled: CompiledNetwork;
  readonly examples: Examples;
  readonly classes: Uint16Array;
}

class WatchedDriver extends EmulatedDriver {
  readonly scored: Scored[] = [];

  override async open(...args: Parameters<EmulatedDriver['open']>): Promise<Device> {
    const device = await super.open(...args);
    const classify = device.classify?.bind(device);
    if (!classify) throw new Error('a board classifies');
    return Object.assign(device, {
      classify: async (network: Graph, examples: Examples, options: Parameters<typeof classify>[2]) => {
        const classes = await classify(network, examples, options);
        const calibration = examples.ranges;
        const compiled = await compile(network, { board: roomyBoard, weights: 'real', calibration });
        this.scored.push({ network, compiled, examples, classes });
        return classes;
      },
    });
  }
}

t.test(
  'hilda deploy --study --trial puts the network on the board that was scored',
  { skip: noQemu },
  async (t) => {
    const driver = new WatchedDriver({ boards: ['mps2-an500'] });
    const dir = await mkdtemp(join(tmpdir(), 'hilda-trial-'));
    const daemon = new Daemon({ dataDir: join(dir, 'data'), port: 0, clock: systemClock, drivers: [driver] });
    const url = await daemon.start(new AbortController().signal);
    t.teardown(async () => {
      await daemon.stop();
      await rm(dir, { recursive: true, force: true });
    });
    const hilda = async (...args: string[]) => {
      const { code, out, err } = await runCommand(url, ...args, '--json');
      if (code !== 0) throw new Error(`${args.join(' ')}: ${err}`);
      return JSON.parse(out);
    };
    const device = 'emulated-mps2-an500';
    await hilda('devices', 'adopt', device);
    const spec = join(dir, 'study.json');
    await writeFile(
      spec,
      JSON.stringify({
        name: 'scored',
        space: 'mbconv-fmnist',
        evaluator: { kind: 'supernet', deployedImages: 12 },
        devices: [device],
        protocol: 'quick',
        objectives: [
          { metric: 'accuracy', goal: 'max' },
          { metric: 'instructions', goal: 'min' },
        ],
        budget: { trials: 1 },
      }),
    );
    const { study } = await hilda('search', 'start', spec, '--wait');
    const { trials } = (await (await ownerFetch(`${url}/v1/studies/${study.id}/trials`)).json()) as {
      trials: { number: number; state: string }[];
    };
    const trial = trials.find(({ state }) => state === 'complete');
    t.ok(trial, 'one trial is complete');
    const { deployment } = await hilda(
      'deploy',
      '--study',
      study.id,
      '--trial',
      String(trial?.number),
      '--device',
      device,
    );
    t.match(deployment.calibratedOn, /calibration/i);

    const [scored] = driver.scored;
    if (!scored) throw new Error('nothing was scored');
    const { network, compiled, examples, classes } = scored;
    const reference = new Reference(compiled.program);
    const size = examples.values.length / examples.count;
    const [input] = network.inputs;
    const dims = (input?.dims ?? []).map(Number);
    for (let i = 0; i < 5; i++) {
      const data = examples.values.slice(i * size, (i + 1) * size);
      const file = join(dir, `${i}.npy`);
      await writeFile(file, npyBytes(data, 'float32', dims));
      const { outputs } = await hilda('run', '--device', device, '--input', file);
      const [given] = Object.values(outputs) as { data: number[] }[];
      const bytes = allToBoard({ [input?.name as string]: { dims, data } }, compiled.inputs);
      const [expected] = Object.values(allFromBoard(reference.run(bytes), compiled.outputs));
      t.same(given?.data, [...(expected?.data ?? [])], `image ${i}: outputs of the network that was scored`);
      const largest = Math.max(...(given?.data ?? []));
      t.equal(given?.data.indexOf(largest), classes[i], `image ${i}: the class that was scored`);
    }
  },
);
