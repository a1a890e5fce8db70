import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import wavefile from 'wavefile';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { type MelOptions, melFeatures, melFilters } from '../../daemon/data/mel.js';
import { withMelFrontEnd } from '../../daemon/data/mel-nodes.js';
import { type OpenOptions, openArrays } from '../../daemon/data/open-arrays.js';
import { resample } from '../../daemon/data/resample.js';
import { readWav } from '../../daemon/data/wav.js';
import type { Graph } from '../../daemon/network/graph.js';
import { inferShapes } from '../../daemon/network/infer-shapes.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { valueRanges } from '../../daemon/runtime/value-ranges.js';
import { compile, positionsOf, quantisedInput, Reference } from '../../firmware-bridge/compiler/index.js';

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hilda-data-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function all(
  path: string,
  options?: OpenOptions,
): Promise<{ dims: readonly number[]; values: number[] }> {
  const source = await openArrays(path, options);
  try {
    const values = [...(await source.examples(0, source.count))].map(Number);
    return { dims: [source.count, ...source.dims], values };
  } finally {
    await source.close();
  }
}

const noise = (count: number, seed: number): number[] => {
  const rng = Xoshiro128.fromSeed(seed);
  return Array.from({ length: count }, () => rng.next());
};

/** A WAV file by the wavefile package. */
const wav = (rate: number, depth: string, channels: readonly (readonly number[])[]): Uint8Array => {
  const file = new wavefile.WaveFile();
  file.fromScratch(
    channels.length,
    rate,
    depth,
    channels.length === 1 ? [...channels[0]!] : channels.map((c) => [...c]),
  );
  return file.toBuffer();
};

t.test('WAV of every depth, mixed to one channel', async (t) => {
  const path = join(await folder(t), 'x.wav');
  for (const [depth, scale, offset] of [
    ['8', 128, 128],
    ['16', 32_768, 0],
    ['24', 2 ** 23, 0],
    ['32', 2 ** 31, 0],
    ['32f', 1, 0],
    ['64', 1, 0],
  ] as const) {
    const left = [0, 0.5, -1, 0.25].map((x) => x * scale + offset);
    const right = [0, 0.25, 1 - 1 / 128, -0.25].map((x) => x * scale + offset);
    await writeFile(path, wav(16_000, depth, [left]));
    t.same([...(await readWav(path)).samples], [0, 0.5, -1, 0.25], depth);
    await writeFile(path, wav(16_000, depth, [left, right]));
    t.same([...(await readWav(path)).samples], [0, 0.375, -1 / 256, 0], `${depth}, two channels`);
  }
  const good = Buffer.from(wav(8000, '16', [[1, 2, 3]]));
  const changed = (at: number, ...bytes: number[]): Buffer => {
    const copy = Buffer.from(good);
    copy.set(bytes, at);
    return copy;
  };
  for (const [bytes, message] of [
    [good.subarray(0, -2), /truncated: the chunk "data" of 6 bytes/],
    [changed(20, 6), /format tag 6 with 16 bits/],
    [changed(22, 0), /damaged format chunk/],
    [changed(24, 0xff, 0xff, 0xff, 0xff), /damaged format chunk/],
    [changed(24, 1, 0, 0, 0), /damaged format chunk/],
    [changed(40, 5), /no whole number/],
    [changed(40, 0), /or none/],
    [changed(0, 0x58), /no RIFF WAVE file/],
    [good.subarray(0, 36), /no data chunk/],
    [wav(8000, '32f', [[0, Number.NaN]]), /sample 1 is not finite/],
    [Buffer.alloc(0), /is empty/],
  ] as [Uint8Array, RegExp][]) {
    await writeFile(path, bytes);
    await t.rejects(readWav(path), { code: 'DATA_INVALID', message }, String(message));
  }
});

const tone = (hz: number, rate: number, count: number): number[] =>
  Array.from({ length: count }, (_, n) => 0.5 * Math.sin((2 * Math.PI * hz * n) / rate));

t.test('resampling keeps tones that both rates hold, and drops those that fold', async (t) => {
  for (const [from, to] of [
    [44_100, 16_000],
    [8000, 16_000],
    [16_000, 8000],
    [16_000, 11_025],
  ] as const) {
    const got = resample(Float32Array.from(tone(1000, from, from / 4)), from, to);
    const expected = tone(1000, to, to / 4);
    t.equal(got.length, Math.round(to / 4));
    const middle = [...got].slice(200, -200).map((value, i) => Math.abs(value - expected[i + 200]!));
    t.ok(Math.max(...middle) < 2e-3, `${from} to ${to}: ${Math.max(...middle)}`);
  }
  t.same(
    resample(Float32Array.from(tone(300, 8000, 900)), 8000, 16_000, 100),
    resample(Float32Array.from(tone(300, 8000, 900)), 8000, 16_000).subarray(0, 100),
    'no more than is asked for',
  );
  const folded = resample(Float32Array.from(tone(6000, 16_000, 4000)), 16_000, 8000);
  t.ok(Math.max(...folded.slice(200, -200).map(Math.abs)) < 2e-3, 'above the new Nyquist frequency');
});

const mel: MelOptions = {
  sampleRate: 16_000,
  window: 400,
  hop: 160,
  fft: 512,
  bands: 20,
  lowHz: 60,
  highHz: 7600,
  scale: 'htk',
  spectrum: 'power',
  floor: 1e-4,
};

t.test('log-mel features equal the formula, and the same front end as a network', async (t) => {
  const samples = Float32Array.from(
    noise(1600, 5),
    (x, n) => 0.2 * (x - 0.5) + 0.5 * Math.sin((2 * Math.PI * 440 * n) / 16_000),
  );
  // Centres from published tables: Slaney's scale has 15 mel at 1 kHz and 42 at 6.4 kHz; HTK's 1,000 mel at 1 kHz.
  const peak = (options: MelOptions, band: number): number => {
    const filter = [...melFilters(options)[band]!];
    return (filter.indexOf(Math.max(...filter)) * options.sampleRate) / options.fft;
  };
  const wide = { ...mel, fft: 16_384, window: 400, lowHz: 0 };
  t.ok(
    Math.abs(peak({ ...wide, scale: 'slaney', bands: 2, highHz: 6400 }, 0) - 14 * (200 / 3)) < 1,
    '14 mel',
  );
  t.ok(
    Math.abs(peak({ ...wide, scale: 'slaney', bands: 13, highHz: 6400 }, 4) - 1000) < 1,
    '15 of 42 mel is 1 kHz',
  );
  t.ok(
    Math.abs(peak({ ...wide, bands: 1, highHz: 700 * (10 ** (2000 / 2595) - 1) }, 0) - 1000) < 1,
    '1,000 mel',
  );

  for (const [scale, spectrum] of [
    ['htk', 'power'],
    ['slaney', 'power'],
    ['htk', 'absolute'],
  ] as const) {
    const options = { ...mel, scale, spectrum };
    const filters = melFilters(options);
    const features = melFeatures(samples, options);
    const frames = 1 + Math.floor((1600 - 400) / 160);
    t.equal(features.length, 20 * frames);
    if (scale === 'slaney') {
      const areas = filters.map((f) => [...f].reduce((a, b) => a + b) * (16_000 / 512));
      t.ok(
        areas.slice(8).every((area) => Math.abs(area - 1) < 0.1),
        'triangles of area 1',
      );
    }
    for (const [b, frame] of [
      [0, 0],
      [7, 3],
      [19, frames - 1],
    ] as const) {
      // The definition itself: a sum over all pairs of samples and bins.
      let energy = 1e-4;
      for (let k = 0; k <= 256; k++) {
        let [re, im] = [0, 0];
        for (let n = 0; n < 400; n++) {
          const x = samples[160 * frame + n]! * Math.sin((Math.PI * n) / 400) ** 2;
          re += x * Math.cos((2 * Math.PI * k * n) / 512);
          im += x * Math.sin((2 * Math.PI * k * n) / 512);
        }
        energy += filters[b]![k]! * (spectrum === 'power' ? re * re + im * im : Math.abs(re) + Math.abs(im));
      }
      const error = Math.abs(features[b * frames + frame]! - Math.log(energy));
      t.ok(error < 1e-5, `${scale}, band ${b}, frame ${frame}: ${error}`);
    }

    const dims = [1, 1, 20, frames];
    const identity: Graph = {
      name: 'x',
      opset: 17,
      inputs: [{ name: 'samples', dtype: 'float32', dims }],
      outputs: [{ name: 'y', dtype: 'float32', dims }],
      initializers: new Map(),
      nodes: [
        { name: 'mel.Conv', op: 'Identity', domain: '', inputs: ['samples'], outputs: ['y'], attributes: {} },
      ],
    };
    const graph = withMelFrontEnd(identity, { mel: options, samples: 1600, mean: -2, deviation: 3 });
    t.same(inferShapes(graph).get('samples')?.dims, dims, 'the names of the network stay its own');
    const runtime = new SessionProcess();
    const call = { signal: new AbortController().signal };
    try {
      const { handle } = await runtime.load(writeOnnx(graph), {}, call);
      const feeds = {
        [graph.inputs[0]!.name]: { type: 'float32' as const, dims: [1, 1, 1, 1600], data: samples },
      };
      const { y } = await runtime.run(handle, feeds, {}, call);
      const worst = Math.max(...features.map((value, i) => Math.abs((value + 2) / 3 - Number(y!.data[i]))));
      t.ok(worst < 1e-3, `${scale}: the network differs by ${worst}`);
    } finally {
      await runtime.stop();
    }
  }
  for (const [wrong, message] of [
    [{ fft: 500 }, /fft/],
    [{ window: 513 }, /window/],
    [{ highHz: 9000 }, /highHz/],
    [{ floor: 0 }, /floor/],
    [{ bands: 250 }, /band \d+ .* contains no bin/],
  ] as [Partial<MelOptions>, RegExp][])
    t.throws(() => melFilters({ ...mel, ...wrong }), { code: 'DATA_INVALID', message });
});

t.test('in 8 bits the front end stays near the float one, where spectrum and floor suit it', async (t) => {
  const rng = Xoshiro128.fromSeed(3);
  const samples = 4000;
  const waves = Array.from({ length: 16 }, (_, i) => {
    const [hz, loudness] = [150 + 2800 * rng.next(), 0.1 + 0.7 * rng.next()];
    return Float32Array.from({ length: samples }, (_, n) =>
      i % 2 === 0 ? loudness * (rng.next() - 0.5) : loudness * Math.sin((2 * Math.PI * hz * n) / 8000),
    );
  });
  const runtime = new SessionProcess();
  t.teardown(() => runtime.stop());
  const call = { signal: new AbortController().signal };
  const agreement = async (spectrum: MelOptions['spectrum'], floor: number): Promise<number> => {
    const options: MelOptions = {
      ...mel,
      sampleRate: 8000,
      window: 256,
      fft: 256,
      lowHz: 80,
      highHz: 3800,
      spectrum,
      floor,
    };
    const dims = [1, 1, 20, 24];
    const identity: Graph = {
      name: 'x',
      opset: 17,
      inputs: [{ name: 'f', dtype: 'float32', dims }],
      outputs: [{ name: 'y', dtype: 'float32', dims }],
      initializers: new Map(),
      nodes: [{ name: 'relu', op: 'Relu', domain: '', inputs: ['f'], outputs: ['y'], attributes: {} }],
    };
    // Silence is 0, so that the cosine compares what is heard.
    const graph = withMelFrontEnd(identity, { mel: options, samples, mean: Math.log(floor), deviation: 1 });
    const feeds = waves.map((data) => ({
      [graph.inputs[0]!.name]: { type: 'float32' as const, dims: [1, 1, 1, samples], data },
    }));
    const compiled = await compile(graph, {
      board: {
        weightLayout: 'rows',
        arenaBytes: 1e6,
        flashBytes: 1e6,
        weightsAt: 'flash',
        poolBytes: 0,
        fetchesInput: false,
      },
      weights: 'real',
      calibration: (network, values) => valueRanges(network, values, feeds, runtime, call),
    });
    const { output } = compiled;
    const at = positionsOf(output);
    let [product, floats, bytes] = [0, 0, 0];
    for (const wave of waves) {
      const raw = new Reference(compiled.program).run(quantisedInput(compiled, wave));
      melFeatures(wave, options).forEach((feature, i) => {
        const expected = feature - Math.log(floor);
        const got = (raw[at(i)]! - output.quantisation.zeroPoint) * output.quantisation.scale;
        product += expected * got;
        floats += expected * expected;
        bytes += got * got;
      });
    }
    return product / Math.sqrt(floats * bytes);
  };
  const [absolute, power] = [await agreement('absolute', 3), await agreement('power', 1e-6)];
  t.ok(absolute > 0.99, `absolute, floor 3: cosine ${absolute}`);
  t.ok(power < 0.98, `what the documentation warns of: power, floor 1e-6: cosine ${power}`);
});

t.test('folders of recordings: rate, length, features', async (t) => {
  const work = await folder(t);
  const at = (name: string): string => join(work, name);
  await writeFile(at('a.wav'), wav(16_000, '32f', [tone(500, 16_000, 1600)]));
  await writeFile(at('b.wav'), wav(16_000, '32f', [tone(500, 16_000, 1000)]));
  await t.rejects(all(work), {
    code: 'DATA_INVALID',
    message: /b\.wav has 1000 samples, but .*a\.wav has 1600/,
  });
  const { dims, values } = await all(work, { dims: [1, 1200] });
  t.same(dims, [2, 1, 1200]);
  t.ok(
    values.slice(1200 + 1000).every((value) => value === 0),
    'filled with silence',
  );
  await writeFile(at('c.wav'), wav(8000, '32f', [tone(500, 8000, 800)]));
  await t.rejects(all(work, { sounds: { samples: 1600 } }), {
    code: 'DATA_INVALID',
    message: /c\.wav has 8000 samples a second/,
  });
  const features = await all(work, { sounds: { samples: 1600, mel } });
  t.same(features.dims, [3, 1, 1, 20, 8]);
  const energies = features.values.slice(0, 160);
  const loudest = Math.floor(energies.indexOf(Math.max(...energies)) / 8);
  const centre =
    700 *
    (10 ** ((2595 * Math.log10(1 + 60 / 700) + ((loudest + 1) * 2595 * Math.log10(8300 / 760)) / 21) / 2595) -
      1);
  t.ok(Math.abs(centre - 500) < 120, `band ${loudest} at ${centre} Hz is the tone's`);
});
