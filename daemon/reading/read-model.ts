import { posix } from 'node:path';
import { HildaError } from '../core/errors.js';
import { bytesInMemory } from '../data/file-bytes.js';
import { openZipEntry, readZipEntries } from '../data/zip.js';
import type { Graph } from '../network/graph.js';
import { externalConstants } from '../network/inline-external-data.js';
import { readModelFile } from '../network/read-model-file.js';
import { readOnnx } from '../network/read-onnx.js';
import { type ExternalFiles, isConfined } from '../network/read-tensor.js';

/** Of an archive once it is unpacked, and of all constants that lie outside the model. */
const maxUnpackedBytes = 2 ** 30;

/**
 * Decodes a model as people upload it: an ONNX or TensorFlow Lite file, or a ZIP archive of an ONNX file with the files that
 * it names. Nothing is written; a name that leads outside the archive finds nothing. Throws ONNX_INVALID,
 * EXTERNAL_DATA_MISSING, DATA_INVALID (a damaged archive), NETWORK_TOO_LARGE, and what `readTflite` throws.
 */
export async function readModel(bytes: Uint8Array): Promise<Graph> {
  if (!isZip(bytes)) return readModelFile(bytes);
  const files = await unpacked(bytes);
  const models = [...files.keys()].filter((name) => name.toLowerCase().endsWith('.onnx'));
  const [model] = models;
  if (model === undefined || models.length > 1)
    throw new HildaError(
      'ONNX_INVALID',
      models.length === 0
        ? 'the archive holds no .onnx file'
        : `the archive holds ${models.length} models: ${models.slice(0, 5).join(', ')}`,
      { hint: 'Pack one .onnx file and the files that it names.' },
    );
  const folder = posix.dirname(model);
  const external: ExternalFiles = (location) =>
    isConfined(location) ? files.get(posix.join(folder, plain(location))) : undefined;
  const onnx = files.get(model) as Uint8Array;
  assertSize(externalConstants(onnx).bytes, 'the constants outside the model');
  return readOnnx(onnx, { external });
}

/** By its first bytes; no model begins so. */
export const isZip = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 0x03 && bytes[3] === 0x04;

/** `./a\\b` and `a/b` are one name. */
const plain = (name: string): string => posix.normalize(name.replaceAll('\\', '/'));

async function unpacked(bytes: Uint8Array): Promise<ReadonlyMap<string, Uint8Array>> {
  const archive = bytesInMemory('the archive', bytes);
  const entries = [...(await readZipEntries(archive)).values()].filter(({ name }) => !/[/\\]$/.test(name));
  assertSize(
    entries.reduce((sum, entry) => sum + entry.bytes, 0),
    'the archive',
  );
  const files = new Map<string, Uint8Array>();
  for (const entry of entries) {
    if (!isConfined(entry.name))
      throw new HildaError(
        'DATA_INVALID',
        `the archive names a file outside itself: ${JSON.stringify(entry.name)}`,
      );
    const source = await openZipEntry(archive, entry);
    files.set(plain(entry.name), await source.read(0, entry.bytes));
  }
  return files;
}

function assertSize(bytes: number, what: string): void {
  if (bytes > maxUnpackedBytes)
    throw new HildaError(
      'NETWORK_TOO_LARGE',
      `${what}: ${bytes} bytes, at most ${maxUnpackedBytes} allowed`,
      {
        details: { is: bytes, max: maxUnpackedBytes },
      },
    );
}
