import wavefile from 'wavefile';
import { readWholeFile } from './file-bytes.js';
import { invalid } from './invalid.js';

export interface Sound {
  readonly sampleRate: number;
  /** Of one channel, full scale being -1 to 1. */
  readonly samples: Float32Array;
}

export const wavFile = /\.wav$/i;

const maxChannels = 64;
/** Samples a second: what recorders write lies well within. */
const [minRate, maxRate] = [100, 768_000];
/** Bit depth code of the wavefile package by format tag and bits a sample; 1 is PCM, 3 IEEE float. */
const depths: ReadonlyMap<
  string,
  { readonly code: string; readonly offset: number; readonly scale: number }
> = new Map([
  ['1/8', { code: '8', offset: 128, scale: 128 }],
  ['1/16', { code: '16', offset: 0, scale: 2 ** 15 }],
  ['1/24', { code: '24', offset: 0, scale: 2 ** 23 }],
  ['1/32', { code: '32', offset: 0, scale: 2 ** 31 }],
  ['3/32', { code: '32f', offset: 0, scale: 1 }],
  ['3/64', { code: '64', offset: 0, scale: 1 }],
]);

/**
 * Reads a RIFF WAVE file of PCM (8, 16, 24, 32 bit) or float samples; channels are mixed to their mean. Throws NOT_FOUND,
 * and DATA_INVALID for other codings, a data chunk that is cut off or empty, and samples that are not finite.
 */
export async function readWav(path: string): Promise<Sound> {
  const bytes = await readWholeFile(path);
  const { format, data } = chunksOf(bytes, path);
  const view = new DataView(format.buffer, format.byteOffset, format.length);
  const [tag, channels, blockBytes, bits] = [0, 2, 12, 14].map((at) => view.getUint16(at, true)) as [
    number,
    number,
    number,
    number,
  ];
  const sampleRate = view.getUint32(4, true);
  // WAVE_FORMAT_EXTENSIBLE: the true tag opens the sub-format's GUID.
  const coding = tag === 0xfffe && format.length >= 40 ? view.getUint16(24, true) : tag;
  const depth = depths.get(`${coding}/${bits}`);
  if (!depth)
    throw invalid(
      `${path} has format tag ${coding} with ${bits} bits; PCM of 8, 16, 24, 32 bits and float are read`,
    );
  if (
    channels < 1 ||
    channels > maxChannels ||
    blockBytes !== (channels * bits) / 8 ||
    sampleRate < minRate ||
    sampleRate > maxRate
  )
    throw invalid(`${path} has a damaged format chunk`);
  if (data.length === 0 || data.length % blockBytes !== 0)
    throw invalid(`${path} holds ${data.length} bytes of samples: no whole number of ${blockBytes}, or none`);
  const interleaved = decode(data, depth.code);
  const samples = new Float32Array(interleaved.length / channels);
  for (let i = 0; i < samples.length; i++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += (interleaved[i * channels + c] as number) - depth.offset;
    samples[i] = sum / (channels * depth.scale);
    if (!Number.isFinite(samples[i])) throw invalid(`${path}: sample ${i} is not finite`);
  }
  return { sampleRate, samples };
}

/** Samples as the file states them. The package sees the two chunks alone, since it trusts sizes in all others. */
function decode(data: Uint8Array, code: string): Float64Array {
  const wav = new wavefile.WaveFile();
  // Its rate is not used.
  wav.fromScratch(1, 8000, code, [0]);
  Object.assign(wav.data, { samples: data, chunkSize: data.length });
  return wav.getSamples(true);
}

/** The format and data chunks of a RIFF file, each within its bounds. */
function chunksOf(
  bytes: Uint8Array,
  path: string,
): { readonly format: Uint8Array; readonly data: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = (at: number): string => Buffer.from(bytes.subarray(at, at + 4)).toString('latin1');
  if (bytes.length < 12 || text(0) !== 'RIFF' || text(8) !== 'WAVE')
    throw invalid(`${path} is no RIFF WAVE file`);
  let format: Uint8Array | undefined;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const [id, size] = [text(at), view.getUint32(at + 4, true)];
    if (at + 8 + size > bytes.length)
      throw invalid(`${path} is truncated: the chunk "${id}" of ${size} bytes reaches beyond the end`);
    const chunk = bytes.subarray(at + 8, at + 8 + size);
    if (id === 'fmt ' && size >= 16) format = chunk;
    if (id === 'data') {
      if (!format) throw invalid(`${path} has no format chunk before its samples`);
      return { format, data: chunk };
    }
    // Chunks are padded to an even length.
    at += 8 + size + (size % 2);
  }
  throw invalid(`${path} has no data chunk`);
}
