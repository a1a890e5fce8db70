import { pick, type Rng, Xoshiro128 } from '../../daemon/core/rng.js';
import { elementCount, type Graph, type ValueInfo } from '../../daemon/network/graph.js';
import { type Given, numbers, Oracle } from '../../test/agreement/onnxruntime.js';
import type { Entry } from './catalogue.js';
import { cropped, type Picture, type Region, textLine } from './pictures.js';
import { speech } from './sounds.js';

/** What the models of one package make for those of another. */
export interface Sources {
  readonly pictures: readonly Picture[];
  readonly mel: Uint8Array | undefined;
  readonly embedding: Uint8Array | undefined;
}

type Feed = Record<string, Given>;
/** Sounds that were prepared before, since embeddings of them cost more than the networks that read them. */
const heard = new Map<string, Promise<Float32Array[]>>();

const whole: Region = { left: 0, top: 0, width: 1, height: 1 };
const float = (dims: readonly number[], data: Float32Array): Given => ({ type: 'float32', dims, data });

/** `count` plausible feeds for a network whose sizes are fixed, the same in every run. */
export async function plausibleFeeds(
  graph: Graph,
  entry: Entry,
  sources: Sources,
  count: number,
): Promise<Feed[]> {
  const rng = Xoshiro128.fromSeed(7);
  const [first, ...rest] = graph.inputs as [ValueInfo, ...ValueInfo[]];
  const dims = first.dims as number[];
  const others = Object.fromEntries(rest.map((value) => [value.name, filled(value, entry.constants)]));
  const drawn: Float32Array[] = await draw(entry.input, dims, sources, rng, count);
  return drawn.map((data) => ({ [first.name]: float(dims, data), ...others }));
}

function filled({ name, dtype, dims }: ValueInfo, constants: Entry['constants'] = {}): Given {
  const value = constants[name] ?? 0;
  const length = elementCount(dims as number[]);
  return dtype === 'int64'
    ? { type: 'int64', dims: dims as number[], data: new BigInt64Array(length).fill(BigInt(value)) }
    : float(dims as number[], new Float32Array(length).fill(value));
}

async function draw(
  input: Entry['input'],
  dims: readonly number[],
  sources: Sources,
  rng: Rng,
  count: number,
): Promise<Float32Array[]> {
  const each = <T>(of: (i: number) => T): Promise<Awaited<T>[]> =>
    Promise.all(Array.from({ length: count }, (_, i) => of(i)));
  if (input.kind === 'audio') {
    const length = dims.at(-1) as number;
    return each(() =>
      speech(rng, 4 * length + 8000)
        .slice(-length)
        .map((value) => input.gain * value),
    );
  }
  if ('gain' in input) {
    const frames = dims[1] as number;
    const windows = input.kind === 'mel' ? 1 : frames;
    const { kind, gain } = input;
    const make = async (): Promise<Float32Array[]> => {
      const mels = await melSpectrograms(sources, rng, gain, windows, count);
      return kind === 'mel' ? mels.map((mel) => mel.slice(0, 76 * 32)) : embeddings(sources, mels, windows);
    };
    // Heads that read equally many embeddings are fed alike.
    const key = [kind, gain, windows, count].join();
    const made = heard.get(key) ?? make();
    heard.set(key, made);
    return made;
  }
  if (input.kind === 'text') {
    const [, , height, width] = dims as [number, number, number, number];
    const lines = await each(() => textLine(rng, width, height, input.turned ?? false));
    return lines.map((bytes) => planes(bytes, 3, width * height, input.value));
  }
  const { order, value, alpha } = input;
  const [height, width] = (order === 'CHW' ? dims.slice(2) : dims.slice(1, 3)) as [number, number];
  const channels = (order === 'CHW' ? dims[1] : 3) === 1 ? 1 : 3;
  const crops = await each(() => {
    const picture = pick(rng, sources.pictures);
    const how = { flip: rng.next() < 0.5, brightness: 0.7 + 0.6 * rng.next() };
    return cropped(picture, region(picture, input.kind, rng), { width, height, channels }, how);
  });
  if (order === 'CHW') return crops.map((bytes) => planes(bytes, channels, width * height, value));
  const depth = channels + (alpha === undefined ? 0 : 1);
  return crops.map((bytes) =>
    Float32Array.from({ length: width * height * depth }, (_, i) => {
      const c = i % depth;
      return c === channels
        ? (alpha as number)
        : value(bytes[Math.floor(i / depth) * channels + c] as number, c);
    }),
  );
}

/** HWC bytes as CHW numbers. */
const planes = (
  bytes: Uint8Array,
  channels: number,
  area: number,
  value: (byte: number, channel: number) => number,
): Float32Array =>
  Float32Array.from({ length: channels * area }, (_, i) => {
    const c = Math.floor(i / area);
    return value(bytes[(i % area) * channels + c] as number, c);
  });

/** Around a face, at an eye of it, or any large part of the picture. */
function region({ faces }: Picture, kind: 'face' | 'eye' | 'photo' | string, rng: Rng): Region {
  const about = (middle: number, by: number): number => middle + by * (2 * rng.next() - 1);
  if (kind === 'photo' || faces.length === 0) {
    const size = about(0.75, 0.25);
    return { left: rng.next() * (1 - size), top: rng.next() * (1 - size), width: size, height: size };
  }
  const { left, top, width, height } = pick(rng, faces);
  if (kind === 'eye') {
    const side = pick(rng, [0.3, 0.7]);
    const size = about(0.26, 0.05);
    return {
      left: left + (about(side, 0.03) - size / 2) * width,
      top: top + (about(0.4, 0.03) - size / 2) * height,
      width: size * width,
      height: size * height,
    };
  }
  const size = about(1.2, 0.2);
  return {
    left: left + (about(0.5, 0.06) - size / 2) * width,
    top: top + (about(0.5, 0.06) - size / 2) * height,
    width: size * width,
    height: size * height,
  };
}

/** Where the detector sees faces in each picture; the whole picture where it sees none. */
export async function withFaces(pictures: readonly Picture[], detector: Uint8Array): Promise<Picture[]> {
  const oracle = await Oracle.load(detector);
  const found: Picture[] = [];
  for (const picture of pictures) {
    const bytes = await cropped(
      picture,
      whole,
      { width: 320, height: 240, channels: 3 },
      { flip: false, brightness: 1 },
    );
    const data = planes(bytes, 3, 320 * 240, (byte) => (byte - 127) / 128);
    const { scores, boxes } = await oracle.run({ input: float([1, 3, 240, 320], data) });
    const [score, box] = [numbers(scores as Given), numbers(boxes as Given)];
    const best = [...Array(score.length / 2).keys()].sort(
      (a, b) => (score[2 * b + 1] as number) - (score[2 * a + 1] as number),
    )[0] as number;
    const [x0, y0, x1, y1] = [...box.subarray(4 * best, 4 * best + 4)] as [number, number, number, number];
    const sure = (score[2 * best + 1] as number) > 0.7;
    found.push({ ...picture, faces: sure ? [{ left: x0, top: y0, width: x1 - x0, height: y1 - y0 }] : [] });
  }
  await oracle.release();
  return found;
}

/** Mel spectrograms as openWakeWord scales them: rows of 32 bands, enough for so many embeddings. */
async function melSpectrograms(
  { mel }: Sources,
  rng: Rng,
  gain: number,
  windows: number,
  count: number,
): Promise<Float32Array[]> {
  if (!mel) throw new Error('melspectrogram.onnx is not among the models');
  const oracle = await Oracle.load(mel);
  const spectrograms: Float32Array[] = [];
  for (let i = 0; i < count; i++) {
    const samples = (76 + 8 * (windows - 1) + 4) * 160;
    const sound = speech(rng, samples).map((value) => gain * value);
    const { output } = await oracle.run({ input: float([1, samples], sound) });
    spectrograms.push(Float32Array.from(numbers(output as Given), (value) => value / 10 + 2));
  }
  await oracle.release();
  return spectrograms;
}

async function embeddings(
  { embedding }: Sources,
  mels: readonly Float32Array[],
  windows: number,
): Promise<Float32Array[]> {
  if (!embedding) throw new Error('embedding_model.onnx is not among the models');
  const oracle = await Oracle.load(embedding);
  const found: Float32Array[] = [];
  for (const mel of mels) {
    const all = new Float32Array(windows * 96);
    for (let w = 0; w < windows; w++) {
      const input = float([1, 76, 32, 1], mel.slice(8 * w * 32, (8 * w + 76) * 32));
      all.set(numbers(Object.values(await oracle.run({ input_1: input }))[0] as Given), 96 * w);
    }
    found.push(all);
  }
  await oracle.release();
  return found;
}
