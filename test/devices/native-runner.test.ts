import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { asHildaError } from '../../daemon/core/errors.js';
import { chooseCores, readTopology } from '../../daemon/devices/adb/cores.js';
import { AdbDriver } from '../../daemon/devices/adb/driver.js';
import type { AdbDriverOptions } from '../../daemon/devices/adb/options.js';
import { judgePhone, parsePhoneState } from '../../daemon/devices/adb/phone-state.js';
import { examinePhones } from '../../daemon/devices/adb/preflight.js';
import { abiOf, openRunners } from '../../daemon/devices/adb/runners/open-runner.js';
import { cpuList, readCpuList } from '../../daemon/devices/adb/sysfs.js';
import type { Device, Sighting } from '../../daemon/devices/contract.js';
import { asConverted } from '../../daemon/measure/converted.js';
import { referenceNetworks } from '../../daemon/measure/references.js';
import { tfliteReferences } from '../../daemon/measure/tflite-references.js';
import { elementCount } from '../../daemon/network/graph.js';
import { modelBytes } from '../../daemon/network/model-source.js';
import { readTflite } from '../../daemon/network/tflite/read-tflite.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { readModel } from '../../daemon/reading/read-model.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { openAdb } from '../android/adb-bench.js';
import { benchmarkModel, ownProgram, perfTest } from '../android/runner-programs.js';
import { eightCores, openShellPhone } from '../android/shell-phone.js';
import { doublingNetwork, contractProtocol as lenient } from '../contract/device-contract.js';
import { openJoinBench } from './join-bench.js';

t.setTimeout(280_000);
const signal = AbortSignal.timeout(280_000);
const cpu = '/sys/devices/system/cpu';
/** Each leg starts programs of this machine: as few as the protocol takes. */
const contractProtocol = { ...lenient, maxRounds: 3 };

async function phoneBench(t: Test, options: Parameters<typeof openShellPhone>[1] = {}) {
  const bench = await openJoinBench(t);
  const { adb, server } = await openAdb(t);
  const { phone, adbd, serial } = await openShellPhone(t, options);
  const folder = await mkdtemp(join(tmpdir(), 'hilda-runner-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await adb('connect', serial);
  const driverWith = (more: Partial<AdbDriverOptions>): AdbDriver =>
    new AdbDriver({
      adb: server,
      clock: systemClock,
      pages: bench.pages,
      keys: bench.keys,
      joinPort: () => bench.port,
      ...more,
    });
  const put = async (name: string, content: string | Uint8Array): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  };
  return { adb, server, phone, adbd, serial, driverWith, put };
}

async function see(driver: AdbDriver): Promise<Sighting[]> {
  for (let i = 0; i < 300; i++) {
    const seen: Sighting[] = [];
    for await (const sighting of driver.discover({ signal })) seen.push(sighting);
    if (seen.length > 0 && seen.every(({ label }) => /Test Phone/.test(label))) return seen;
    await systemClock.sleep(50);
  }
  throw new Error('no phone came');
}

/** Taken once on a phone: it costs more runs than a measurement. */
const known = { convolutionUs: 1000, transformerUs: 1000, takenAtMs: 1 };

const openFirst = async (driver: AdbDriver): Promise<Device> =>
  driver.open((await see(driver))[0] as Sighting, { signal });

const refused = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (thrown: unknown) => asHildaError(thrown),
  );

t.test('three releases of onnxruntime_perf_test on one phone, whose shell is real', async (t) => {
  // Output comes in pieces of a few bytes, which end in mid-number and mid-character.
  const { driverWith, put, phone } = await phoneBench(t, { pieces: 13 });
  for (const release of ['first', 'middle', 'today'] as const) {
    const path = await put('onnxruntime_perf_test', perfTest(release));
    const device = await openFirst(driverWith({ runners: [path] }));
    if (release !== 'today') await device.calibrate?.({ signal, known });
    const { latency, manifest, memory, verdict } = await device.measure(doublingNetwork(), contractProtocol, {
      signal,
    });
    t.ok(Math.abs(latency!.rawUs.median - 2000) < 1, `${release}: ${latency!.rawUs.median} us`);
    t.ok(Math.abs(latency!.ratio.median - 2) < 1e-3);
    t.equal(verdict, 'valid');
    t.equal(latency!.loadUs, release === 'first' ? null : 21300, 'what it does not say is not made up');
    t.match(manifest, {
      statistic: 'the time of each run',
      runnerProvenance: { name: 'onnxruntime_perf_test', sha256: /^[0-9a-f]{64}$/ },
      cores: null,
      during: { readings: Number, cores: { length: 8 } },
      before: { charging: 'charging', screen: 'Awake', lowPower: false, batteryPercent: 81 },
    });
    t.equal(memory.weightBytes > 0, true);
  }
  t.ok(
    phone.ran.some((command) => command.includes("'-S' '1'")),
    'inputs are seeded where the release can',
  );
  const mean = await put('onnxruntime_perf_test', perfTest('today', false));
  const device = await openFirst(driverWith({ runners: [mean] }));
  await device.calibrate?.({ signal, known });
  const { manifest } = await device.measure(doublingNetwork(), contractProtocol, { signal });
  t.match(manifest.statistic, /median .* unknown/, 'a release that writes no file');
});

t.test(
  'benchmark_model runs the .tflite itself, and a runner of one format is told from the other',
  async (t) => {
    const { driverWith, put, phone } = await phoneBench(t);
    const file = tfliteReferences().transformer;
    const runners = [
      await put('onnxruntime_perf_test', perfTest('today')),
      await put('android_aarch64_benchmark_model', benchmarkModel),
    ];
    const driver = driverWith({ runners });
    const seen = await see(driver);
    t.equal(seen.length, 2, 'a device for each runner');
    t.match(seen[1], { id: /-tflite$/, target: { runtime: 'tflite', tier: 'native' } });
    t.equal(seen[0]!.host, seen[1]!.host, 'which share the processors of the phone');
    t.not(seen[0]!.host, null);
    const device = await driver.open(seen[1] as Sighting, { signal });
    const network = await readModel(file);
    const taken = asConverted(await device.measure(network, contractProtocol, { signal }), network);
    t.ok(Math.abs(taken.latency!.rawUs.median - 3001) <= 1);
    t.match(taken.latency, { loadUs: 4452, firstRunUs: 9000 });
    t.match(taken.manifest, { statistic: /^the mean .* unknown$/, ranFileAsGiven: true });
    t.equal(taken.target.network, undefined, 'it is the file that ran, not a conversion');
    const before = phone.ran.length;
    t.match(await refused(device.measure(doublingNetwork(), contractProtocol, { signal })), {
      code: 'RUNNER_MISMATCH',
      message: /TensorFlow Lite/,
    });
    t.equal(phone.ran.length, before, 'and nothing was sent');
    const onnx = await driver.open(seen[0] as Sighting, { signal });
    await onnx.calibrate?.({ signal, known });
    const converted = asConverted(await onnx.measure(network, contractProtocol, { signal }), network);
    t.match(converted.target, { runtime: 'onnxruntime', network: 'converted from TensorFlow Lite' });
  },
);

t.test('the references as TensorFlow Lite compute what the ONNX ones do', async (t) => {
  const runtime = new SessionProcess();
  t.teardown(() => runtime.stop());
  const networks = referenceNetworks();
  for (const name of ['convolution', 'transformer'] as const) {
    const dims = networks[name].inputs[0]?.dims as number[];
    const data = Float32Array.from({ length: elementCount(dims) }, (_, i) => Math.sin(i));
    const run = async (bytes: Uint8Array, order: Float32Array, to: readonly number[]) => {
      const { handle, inputs } = await runtime.load(bytes);
      const answers = await runtime.run(handle, {
        [inputs[0]!.name]: { type: 'float32', dims: to, data: order },
      });
      return Array.from((Object.values(answers)[0]?.data ?? []) as ArrayLike<number>);
    };
    const wanted = await run(writeOnnx(networks[name]), data, dims);
    const lite = readTflite(tfliteReferences()[name]);
    const [n, c, h, w] = dims as [number, number, number, number];
    const last =
      name === 'transformer'
        ? data
        : Float32Array.from(
            data,
            (_, i) => data[((i % c) * h + Math.floor(i / c / w)) * w + (Math.floor(i / c) % w)] as number,
          );
    const got = await run(modelBytes(lite), last, name === 'transformer' ? dims : [n, h, w, c]);
    const scale = Math.max(...wanted.map(Math.abs));
    const worst = Math.max(...wanted.map((value, i) => Math.abs(value - (got[i] as number))));
    t.equal(got.length, wanted.length);
    t.ok(worst < 1e-4 * scale, `${name}: ${worst} of ${scale}`);
  }
});

t.test('a runner of the user, by a specification', async (t) => {
  const { driverWith, put } = await phoneBench(t);
  const spec = {
    name: 'mine',
    version: '2.1',
    models: 'onnx',
    files: ['prog'],
    command: ['{folder}/prog', '--json', '{runs}', '{result}', "it's {model}"],
    output: 'json',
  };
  await put('prog', ownProgram);
  const device = await openFirst(driverWith({ runners: [await put('mine.yaml', JSON.stringify(spec))] }));
  await device.calibrate?.({ signal, known });
  t.match(device.target, { runtime: 'mine', runtimeVersion: /^2\.1 [0-9a-f]{8} arm64-v8a$/ });
  const { latency, manifest } = await device.measure(doublingNetwork(), contractProtocol, { signal });
  t.equal(latency!.rawUs.median, 2500);
  t.match(manifest.runnerProvenance, { told: '7', command: spec.command });
  for (const change of [
    { command: ['{folder}/prog', '{model}'] },
    { files: ['../prog'] },
    { output: 'text' },
    { more: 1 },
  ])
    await t.rejects(
      openRunners([await put('bad.json', JSON.stringify({ ...spec, ...change }))]),
      { code: 'SPEC_INVALID' },
      JSON.stringify(change),
    );
  await t.rejects(openRunners([await put('bad.yaml', '{')]), { code: 'SPEC_INVALID' });
  await t.rejects(openRunners([join(tmpdir(), 'no-such-runner')]), { code: 'NOT_FOUND' });
  const twice = await put('mine.yaml', JSON.stringify(spec));
  await t.rejects(openRunners([twice, twice]), { code: 'SPEC_INVALID', message: /two runners/ });
});

t.test('cores are chosen, kept, checked and are part of the target', async (t) => {
  const { driverWith, put, phone } = await phoneBench(t);
  const path = await put('onnxruntime_perf_test', perfTest('today'));
  const driver = driverWith({ runners: [path], cores: ['little', 'big', 'prime', '2,5-6', 'all', '9'] });
  const seen = await see(driver);
  t.same(
    seen.map(({ target, obstacle }) => [target.tier, obstacle === null]),
    [
      ['native, little cores 0-3', true],
      ['native, big cores 4-6', true],
      ['native, prime cores 7', true],
      ['native, cores 2,5-6', true],
      ['native, all cores 0-7', true],
      ['native, 9 cores', false],
    ],
  );
  t.match(seen[5]!.obstacle, /core 9 is offline or does not exist.*little, big, prime/);
  await t.rejects(driver.open(seen[5] as Sighting, { signal }), { code: 'DEVICE_FAILED' });
  t.equal(new Set(seen.map(({ id }) => id)).size, seen.length);
  const device = await driver.open(seen[1] as Sighting, { signal });
  await device.calibrate?.({ signal, known });
  const { manifest, verdict } = await device.measure(doublingNetwork(), contractProtocol, { signal });
  t.equal(verdict, 'valid');
  t.ok(
    phone.ran.some((command) => command.includes("taskset 70 '/data/local/tmp/hilda/onnxruntime_perf_test'")),
  );
  t.match(manifest, {
    cores: { asked: 'big', cores: [4, 5, 6], mask: '70' },
    during: { readings: Number, cores: [{ core: 4, leastKhz: 1200000, leastCapKhz: 2400000 }, {}, {}] },
    before: {
      cores: [{ core: 0, governor: 'schedutil', khz: 900000, capKhz: 1800000 }],
      zones: [
        { type: 'cpu-0-0', celsius: 41.2 },
        { type: 'battery', raw: 305, celsius: null },
        { type: 'pa-therm', raw: -273000, celsius: null },
        { type: 'skin', celsius: 33 },
      ],
    },
  });
  t.ok((manifest.during as { readings: number }).readings >= 9);

  // The cap falls while it measures, and is back at the end.
  let runs = 0;
  phone.before = async (command) => {
    if (!command.includes('taskset 70') || !command.includes('--hilda-result')) return;
    runs++;
    await phone.put(`${cpu}/cpu5/cpufreq/scaling_max_freq`, runs === 4 ? '1200000\n' : '2400000\n');
  };
  const hot = await device.measure(doublingNetwork(), contractProtocol, { signal });
  t.match(hot, { verdict: 'throttled', reason: /Core 5 may run at 1200 MHz where 2400 MHz/ });
  phone.before = () => {};
  await phone.put(
    'bin/taskset',
    '#!/bin/sh\nshift\nprintf "Cpus_allowed_list:\\t4-5\\n" > "$ROOT/proc/self/status"\nexec "$@"\n',
    0o755,
  );
  const fewer = await driver.open(seen[1] as Sighting, { signal });
  t.match(await refused(fewer.measure(doublingNetwork(), contractProtocol, { signal })), {
    code: 'DEVICE_FAILED',
    message: /cores 4-6 were asked for, and the phone gives 4-5/,
  });
});

t.test('a phone that fails is the one to blame, with evidence', async (t) => {
  const { driverWith, put, adbd, phone } = await phoneBench(t);
  const failing = async (script: string) => {
    const device = await openFirst(driverWith({ runners: [await put('onnxruntime_perf_test', script)] }));
    return refused(device.measure(doublingNetwork(), contractProtocol, { signal }));
  };
  t.match(await failing('#!/no/such/shell\n'), {
    code: 'DEVICE_FAILED',
    details: { suspect: 'device', exitStatus: Number },
  });
  t.match(await failing('#!/bin/sh\nkill -SEGV $$\n'), { details: { signal: 11, exitStatus: 139 } });
  t.match(await failing('#!/bin/sh\necho Average inference time cost total: -nan ms\n'), {
    code: 'RUNNER_OUTPUT_INVALID',
    message: /not finite/,
    details: { output: /-nan/ },
  });
  t.match(await failing(perfTest('today').replace('n=$runs', 'n=3')), {
    code: 'RUNNER_OUTPUT_INVALID',
    message: /told to run 20 times and counts 3/,
  });
  // A unit that was mixed up: each run alone took longer than the whole program.
  t.match(await failing(perfTest('today').replace('n=$runs -v ms=$ms', 'n=$runs -v ms=$ms"000"')), {
    code: 'RUNNER_OUTPUT_INVALID',
    message: /its 20 runs took 4.0\d*e\+7 us by what it printed, and the whole program/,
  });
  // Somebody at the phone withdraws the permission during a run.
  const path = await put('onnxruntime_perf_test', perfTest('today'));
  const driver = driverWith({ runners: [path] });
  const device = await openFirst(driver);
  let runs = 0;
  phone.before = async (command) => {
    if (command.includes('--hilda-result') && ++runs === 20) adbd.distrust();
  };
  const gone = await refused(device.measure(doublingNetwork(), contractProtocol, { signal }));
  t.match(gone, { code: 'DEVICE_GONE', message: /left|offline|authoriz/ }, `${gone?.message} ${gone?.hint}`);
  phone.before = () => {};
});

t.test('what a phone allows is told before anything runs', async (t) => {
  const good = await phoneBench(t);
  await see(good.driverWith({}));
  const all = await examinePhones(good.server, { signal });
  const words = all.map(({ level, what }) => `${level} ${what}`).join('\n');
  for (const found of [
    /ok .*Android 14, ABIs arm64-v8a,armeabi-v7a/,
    /ok .*taskset is there/,
    /ok .*the governor is schedutil, which may be set/,
    /ok .*programs start in \/data\/local\/tmp/,
    /ok .*SELinux is enforcing/,
    /ok .*airplane mode is on/,
    /ok .*cores 0-3 to 1.80 GHz \(capacity 325\); 4-6 .*takes all, little, big, prime/,
    /ok .*2 of 4 temperatures can be read; battery 81 %, powered; screen awake/,
  ])
    t.match(words, found);
  const poor = await phoneBench(t, {
    files: {
      ...eightCores(),
      '/sys/class/thermal/thermal_zone0/temp': 'none',
      [`${cpu}/cpu7/cpufreq/scaling_max_freq`]: '2000000',
    },
    programs: {
      taskset: '',
      cp: 'echo "cp: Permission denied" >&2; exit 1',
      df: 'printf "Filesystem 1K-blocks Used Available Use%% Mounted on\\n/dev/x 100 90 10240 90%% /data\\n"',
      settings: 'case $3 in low_power) echo 1;; *) echo 0;; esac',
      top: 'printf " 85.0 com.example.game\\n  4.0 top\\n"',
    },
  });
  await see(poor.driverWith({}));
  const poorly = (await examinePhones(poor.server, { signal }))
    .map(({ level, what }) => `${level} ${what}`)
    .join('\n');
  for (const found of [
    /fault .*10 MiB are free/,
    /fault .*programs do not start.*Permission denied/,
    /fault .*battery saver is on/,
    /advice .*com\.example\.game uses 85 % of a core/,
    /advice .*airplane mode is off/,
    /advice .*core 7 may not reach its highest clock/,
  ])
    t.match(poorly, found);
});

t.test('topologies, lists and states of other phones', async (t) => {
  const topology = (
    cores: readonly (readonly [capacity: number | null, khz: number | null])[],
    online?: string,
  ) =>
    readTopology(
      [
        ...(online === undefined ? [] : [`${cpu}/online:${online}`]),
        ...cores.flatMap(([capacity, khz], core) => [
          ...(capacity === null ? [] : [`${cpu}/cpu${core}/cpu_capacity:${capacity}`]),
          ...(khz === null ? [] : [`${cpu}/cpu${core}/cpufreq/cpuinfo_max_freq:${khz}`]),
        ]),
      ].join('\r\n'),
    );
  const six = topology([...Array(6).fill([null, 1800000]), ...Array(2).fill([null, 2200000])]);
  t.match(chooseCores('big', six), { cores: [6, 7], mask: 'c0' });
  t.throws(() => chooseCores('prime', six), { code: 'SPEC_INVALID', message: /2 kinds/ });
  const flat = topology([
    [1024, 2000000],
    [1024, 2000000],
  ]);
  t.throws(() => chooseCores('little', flat), { message: /1 kind of/, hint: /offers all, or a list of 0-1/ });
  t.match(chooseCores('all', flat), { mask: '3' });
  const halved = topology([...Array(4).fill([400, 1]), ...Array(4).fill([1024, 2])], '0-3,7');
  t.match(chooseCores('big', halved), { cores: [7], mask: '80' }, 'cores that are offline are left out');
  t.throws(() => chooseCores('4-7', halved), { message: /core 4-6 is offline/ });
  t.throws(() => chooseCores('big', topology([])), { code: 'SPEC_INVALID' });
  t.throws(() => chooseCores('4-2', six), { code: 'SPEC_INVALID' });
  t.throws(() => chooseCores('0; reboot', six), { code: 'SPEC_INVALID' });
  t.equal(chooseCores('70', topology(Array(80).fill([1, 1]))).mask, `4${'0'.repeat(17)}`, 'beyond 64 bits');
  t.same(readCpuList('0-2,7'), [0, 1, 2, 7]);
  t.equal(cpuList([7, 0, 2, 1, 2]), '0-2,7');
  t.equal(abiOf(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, ...Array(14).fill(0), 183, 0)), 'arm64-v8a');

  t.match(parsePhoneState(''), { thermalStatus: null, batteryPercent: null, powered: null, coreKhz: [] });
  const state = (thermalStatus: number | null) => ({ ...parsePhoneState(''), thermalStatus });
  t.equal(judgePhone(state(0), state(0)), null);
  t.equal(judgePhone(state(null), state(3)), null, 'a phone that does not say is not accused');
  t.match(judgePhone(state(0), state(1)), { verdict: 'throttled' });
  t.match(judgePhone(state(2), state(2)), { verdict: 'throttled' });
  const cores = (caps: readonly number[], online: string) =>
    parsePhoneState(
      `--battery\n--power\n--sys\n${cpu}/online:${online}\n${caps.map((khz, i) => `${cpu}/cpu${i}/cpufreq/scaling_max_freq:${khz}\n`).join('')}`,
    );
  const full = cores([2e6, 2e6], '0-1');
  t.equal(judgePhone(full, full), null);
  t.equal(judgePhone(cores([1e6, 2e6], '0-1'), full), null, 'a cap that rises is none');
  t.match(judgePhone(full, cores([2e6, 1.9e6], '0-1')), { reason: /Core 1 may run at 1900 MHz/ });
  t.match(judgePhone(full, cores([2e6], '0')), { reason: /Core 1 went offline/ });
  t.equal(judgePhone(full, parsePhoneState('')), null, 'nothing read is nothing proven');
});
