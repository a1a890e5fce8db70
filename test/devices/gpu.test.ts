import { getEventListeners } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import type { Device, Driver, Sighting } from '../../daemon/devices/contract.js';
import { OnnxRuntimeDevice } from '../../daemon/devices/onnxruntime/device.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { GpuWatch } from '../../daemon/devices/onnxruntime/gpu-watch.js';
import { readNvidiaGpus, readProcessMemory } from '../../daemon/devices/onnxruntime/nvidia-smi.js';
import { assertPlacement } from '../../daemon/devices/onnxruntime/trace-costs.js';
import { referenceNetworks } from '../../daemon/measure/references.js';
import type { TraceRow } from '../../daemon/runtime/messages.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { contractProtocol, doublingNetwork } from '../contract/device-contract.js';

const signal = AbortSignal.timeout(280_000);
/** Chromium's own software Vulkan: Debian's package brings it, so that a GPU provider can be tested without a GPU. */
const swiftShader = '/usr/lib/chromium/vk_swiftshader_icd.json';

async function see(driver: Driver): Promise<Sighting[]> {
  const seen: Sighting[] = [];
  for await (const sighting of driver.discover({ signal })) seen.push(sighting);
  return seen;
}

async function open(driver: Driver): Promise<Device> {
  const [sighting] = await see(driver);
  return driver.open(sighting!, { signal });
}

t.test('webgpu on a software adapter: right outputs, placement verified, no speed', async (t) => {
  if (!existsSync(swiftShader))
    throw new Error(`${swiftShader} is missing. Install Debian's chromium or run: npm run setup -- --tests`);
  const driver = new OnnxRuntimeDriver({
    provider: 'webgpu',
    environment: { VK_ICD_FILENAMES: swiftShader },
  });
  const [sighting] = await see(driver);
  t.match(sighting, { target: { provider: 'webgpu', tier: 'software', model: 'SwiftShader (software)' } });
  t.match(sighting?.obstacle, /no speed/);
  const [gpu, cpu] = [await driver.open(sighting!, { signal }), await open(new OnnxRuntimeDriver())];
  const network = referenceNetworks().convolution;
  const data = Float32Array.from({ length: 3 * 56 * 56 }, (_, i) => Math.sin(i));
  const inputs = { x: { dims: [1, 3, 56, 56], data } };
  const [a, b] = [await gpu.run!(network, inputs, { signal }), await cpu.run!(network, inputs, { signal })];
  const [x, y] = [Object.values(a)[0]!.data, Object.values(b)[0]!.data];
  const apart = x.reduce((most, value, i) => Math.max(most, Math.abs(value - y[i]!)), 0);
  t.ok(x.length === y.length && apart < 1e-4, `${apart}`);
  const rows = await gpu.profile!(doublingNetwork(), { signal });
  t.ok(rows.length > 0 && rows.every(({ provider }) => provider === 'webgpu'));
  await t.rejects(gpu.measure(network, contractProtocol, { signal }), { code: 'PROVIDER_SOFTWARE' });
  await t.rejects(gpu.calibrate!({ signal }), { code: 'PROVIDER_SOFTWARE' });
  await gpu.close();
  await cpu.close();
});

/** Nothing of what it measures means anything: SwiftShader is passed off as a GPU, so that the way there is walked. */
t.test('a GPU is measured with its state and memory around it', async (t) => {
  const nvidiaSmi = await script(
    t,
    `case "$1" in --query-gpu=*) echo '0, GPU-abc, Test, P0, 1980, 2619, 41, 97.30, 12, 1024, 81559' ;; esac`,
  );
  const device = new OnnxRuntimeDevice({
    target: {
      model: 'passed off as a GPU',
      clockHz: null,
      runtime: 'onnxruntime',
      runtimeVersion: '1',
      provider: 'webgpu',
      threads: 1,
      dtype: 'float32',
      tier: 'host',
    },
    limits: { memoryBytes: null, weightBytes: null },
    clock: systemClock,
    memoryLimitBytes: null,
    timeoutMs: 250_000,
    cpu: null,
    environment: { VK_ICD_FILENAMES: swiftShader },
    seed: 1,
    nvidiaSmi,
  });
  const known = { convolutionUs: 1e6, transformerUs: 1e6, takenAtMs: 1 };
  await device.calibrate({ signal, known });
  const { manifest, rounds, memory } = await device.measure(doublingNetwork(), contractProtocol, { signal });
  t.ok(rounds.length >= contractProtocol.minRounds);
  t.match(manifest, {
    copiesIncluded: true,
    placementVerified: true,
    gpuMemory: { bytes: 0, source: 'nvidia-smi, of the whole GPU' },
    before: { gpu: { performanceState: 'P0', watts: 97.3 } },
    after: { gpu: { celsius: 41 } },
  });
  t.ok((memory.activationPeakBytes ?? 0) > 0, `${memory.activationPeakBytes}, ${manifest.memorySource}`);
  await device.close();
});

t.test('a provider that is not there never becomes the CPU', async (t) => {
  for (const provider of ['cuda', 'bogus']) {
    const [sighting] = await see(new OnnxRuntimeDriver({ provider, nvidiaSmi: '/nowhere/nvidia-smi' }));
    t.ok(sighting?.obstacle, `${provider}: ${sighting?.obstacle}`);
  }
  t.same(await see(new OnnxRuntimeDriver({ provider: 'bogus', ifPresent: true })), []);
  const beside = { environment: { VK_ICD_FILENAMES: swiftShader }, nvidiaSmi: '/nowhere/nvidia-smi' };
  const [cuda] = await see(new OnnxRuntimeDriver({ provider: 'cuda', ...beside }));
  t.notMatch(cuda, { target: { tier: 'software' } }, "Vulkan's adapter is not that of CUDA");
  const process = new SessionProcess({ memoryLimitBytes: null });
  t.teardown(() => process.stop());
  await t.rejects(process.load(new Uint8Array(8), { provider: 'bogus' }), { code: 'PROVIDER_UNKNOWN' });
  const row = (op: string, provider: string): TraceRow => ({
    run: 0,
    name: 'n',
    op,
    provider,
    durUs: 1,
    memInUsePeakBytes: 0,
    memRequestedInUseBytes: 0,
    memRequestedDeltaBytes: 0,
    outputBytes: 0,
    parameterBytes: 0,
  });
  t.doesNotThrow(() => assertPlacement([row('Conv', 'cuda')], 'cuda'));
  t.throws(() => assertPlacement([row('Conv', 'cuda'), row('Gather', 'cpu')], 'cuda'), {
    code: 'PROVIDER_FALLBACK',
    message: /Gather on cpu/,
  });
});

t.test('a batch is part of the target', async (t) => {
  const [sighting] = await see(new OnnxRuntimeDriver({ batch: 8 }));
  t.match(sighting, { id: /-batch-8$/, target: { batch: 8 } });
  const device = await new OnnxRuntimeDriver({ batch: 8 }).open(sighting!, { signal });
  const known = { convolutionUs: 1000, transformerUs: 1000, takenAtMs: 1 };
  await device.calibrate!({ signal, known });
  await t.rejects(device.measure(doublingNetwork(), contractProtocol, { signal }), {
    code: 'NETWORK_REJECTED',
  });
  await device.close();
});

/** An nvidia-smi that says what the test wants. */
async function script(t: Test, body: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-smi-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'nvidia-smi');
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
  return path;
}

t.test('nvidia-smi in its moods', async (t) => {
  const good = await script(
    t,
    `case "$1" in
  --query-gpu=*) echo '0, GPU-abc, NVIDIA Test 1, P0, 1980, 2619, 41, 97.30, 12, 1024, 81559' ;;
  *) echo '4711, 512'; echo '4712, [N/A]' ;;
esac`,
  );
  const [gpu] = await readNvidiaGpus({ signal, program: good });
  t.same(gpu, {
    index: 0,
    uuid: 'GPU-abc',
    name: 'NVIDIA Test 1',
    performanceState: 'P0',
    smClockMHz: 1980,
    memoryClockMHz: 2619,
    celsius: 41,
    watts: 97.3,
    utilisationPercent: 12,
    memoryUsedBytes: 1024 * 2 ** 20,
    memoryTotalBytes: 81559 * 2 ** 20,
  });
  t.same([...(await readProcessMemory({ signal, program: good }))], [[4711, 512 * 2 ** 20]]);
  const veiled = await script(
    t,
    `echo '0, GPU-abc, Test, [N/A], [N/A], [Not Supported], 41, [N/A], [N/A], 1024, 2048'`,
  );
  t.match((await readNvidiaGpus({ signal, program: veiled }))[0], {
    watts: null,
    smClockMHz: null,
    celsius: 41,
  });
  const old = await script(
    t,
    `case "$1" in *pstate*) echo 'Field "pstate" is not valid'; exit 2 ;; esac; echo '0, GPU-abc, Old, 100'`,
  );
  t.match((await readNvidiaGpus({ signal, program: old }))[0], { name: 'Old', celsius: null });
  const hanging = await script(t, 'exec sleep 60');
  t.same(await readNvidiaGpus({ signal, program: hanging, timeoutMs: 200 }), []);
  const life = new AbortController();
  const missing = { signal: life.signal, program: join(tmpdir(), 'hilda-no-such-program') };
  for (let i = 0; i < 12; i++) t.same(await readNvidiaGpus(missing), []);
  t.equal(
    getEventListeners(life.signal, 'abort').length,
    0,
    'a program that is missing leaves nothing behind',
  );
  life.abort();
  t.same(await readNvidiaGpus(missing), []);
  t.same(await readNvidiaGpus({ signal, program: '/nowhere/nvidia-smi' }), []);
  t.same([...(await readProcessMemory({ signal, program: await script(t, 'exit 9') }))], []);

  // Per process where the driver tells, of the whole GPU, and labelled so, where it does not.
  const rising = (apps: string) =>
    script(
      t,
      `n=$(cat "$0.n" 2>/dev/null || echo 0); case "$1" in
  --query-gpu=*) n=$((n + 1)); echo $n > "$0.n"; echo "0, GPU-abc, Test, P0, 1, 1, 1, 1, 1, $((n * 100)), 9999" ;;
  *) ${apps} ;;
esac`,
    );
  const process = { pid: 4711 } as SessionProcess;
  const byProcess = new GpuWatch(await rising(`echo "4711, $((n * 10 + 5))"`), signal);
  await byProcess.markMemory(process);
  t.match(await byProcess.memoryRise(process), { source: 'nvidia-smi, by process' });
  const whole = new GpuWatch(await rising('true'), signal);
  await whole.markMemory(process);
  t.same(await whole.memoryRise(process), { bytes: 100 * 2 ** 20, source: 'nvidia-smi, of the whole GPU' });
  t.equal(await new GpuWatch('/nowhere/nvidia-smi', signal).memoryRise(process), null);
});
