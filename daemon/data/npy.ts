import { elementCount } from '../network/graph.js';
import type { ByteSource, StoredArray } from './contract.js';
import { decodeElements, type Elements, elementBytes, type NumericType } from './elements.js';
import { invalid } from './invalid.js';

interface Header {
  readonly dtype: NumericType;
  readonly bigEndian: boolean;
  readonly columnMajor: boolean;
  readonly dims: readonly number[];
}

/** numpy itself writes a few hundred bytes. */
const maxHeaderBytes = 65_536;
/** Column-major arrays are turned in memory. */
const maxTurnedBytes = 512 * 2 ** 20;
const maxRank = 32;

const dtypes: ReadonlyMap<string, NumericType> = new Map<string, NumericType>([
  ['f2', 'float16'],
  ['f4', 'float32'],
  ['f8', 'float64'],
  ['i1', 'int8'],
  ['i2', 'int16'],
  ['i4', 'int32'],
  ['i8', 'int64'],
  ['u1', 'uint8'],
  ['u2', 'uint16'],
  ['u4', 'uint32'],
  ['u8', 'uint64'],
  ['b1', 'bool'],
]);

/** What numpy's other kinds are called in messages. */
const otherKinds: ReadonlyMap<string, string> = new Map([
  ['O', 'Python objects, which are pickled'],
  ['c', 'complex numbers'],
  ['S', 'byte strings'],
  ['U', 'text'],
  ['V', 'raw records'],
  ['M', 'dates'],
  ['m', 'durations'],
]);

/**
 * An array in numpy's .npy format, versions 1.0 to 3.0 (numpy.lib.format), of either byte order, row-major or
 * column-major. Throws DATA_INVALID for other element types, a damaged header and a length that contradicts the shape.
 */
export async function openNpy(bytes: ByteSource): Promise<StoredArray> {
  const { name } = bytes;
  const start = await bytes.read(0, Math.min(12, bytes.size));
  if (start.length < 10 || Buffer.from(start.subarray(0, 6)).toString('latin1') !== '\x93NUMPY')
    throw invalid(`${name} is not in the .npy format: the first six bytes differ`);
  const [major, minor] = [start[6] as number, start[7] as number];
  if (major < 1 || major > 3 || minor !== 0)
    throw invalid(`${name} has .npy version ${major}.${minor}; versions 1.0, 2.0 and 3.0 are read`);
  const view = new DataView(start.buffer, start.byteOffset, start.length);
  if (major > 1 && start.length < 12) throw invalid(`${name} is truncated within its header`);
  const headerAt = major === 1 ? 10 : 12;
  const headerBytes = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (headerBytes > maxHeaderBytes)
    throw invalid(`${name} has a header of ${headerBytes} bytes, more than ${maxHeaderBytes}`);
  const dataAt = headerAt + headerBytes;
  if (dataAt > bytes.size) throw invalid(`${name} is truncated within its header`);
  const text = Buffer.from(await bytes.read(headerAt, headerBytes)).toString(major === 3 ? 'utf8' : 'latin1');
  const header = parseHeader(text, name);
  const size = elementBytes(header.dtype);
  const needed = elementCount(header.dims) * size;
  const held = bytes.size - dataAt;
  if (needed !== held)
    throw invalid(
      `${name} holds ${held} bytes of data, but its shape (${header.dims.join(', ')}) of ${header.dtype} takes ${needed}`,
      { hint: held < needed ? 'The file is truncated: write it again.' : 'Write the array again.' },
    );
  const stored = async (from: number, to: number): Promise<Elements> =>
    decodeElements(await bytes.read(dataAt + from * size, (to - from) * size), header.dtype, {
      bigEndian: header.bigEndian,
      what: name,
    });
  const { dtype, dims } = header;
  const close = (): Promise<void> => bytes.close();
  if (!header.columnMajor || dims.filter((dim) => dim !== 1).length < 2)
    return { name, dtype, dims, elements: stored, close };
  if (needed > maxTurnedBytes)
    throw invalid(`${name} is column-major and holds ${needed} bytes, more than ${maxTurnedBytes}`, {
      hint: 'Save it row-major: numpy.save(path, numpy.ascontiguousarray(array)).',
    });
  let turned: Promise<Elements> | undefined;
  return {
    name,
    dtype,
    dims,
    async elements(from, to) {
      turned ??= stored(0, elementCount(dims)).then((elements) => rowMajor(elements, dims));
      return (await turned).slice(from, to);
    },
    close,
  };
}

/** The header is a literal of a Python dictionary with exactly the keys descr, fortran_order and shape. */
function parseHeader(text: string, name: string): Header {
  if (/['"]descr['"]\s*:\s*\[/.test(text))
    throw invalid(`${name} holds structured records`, { hint: 'Save one plain array a file.' });
  const body = /^\s*\{([^{}]*)\}\s*$/.exec(text)?.[1];
  const fields = new Map<string, string>();
  const pair =
    /\s*(['"])(descr|fortran_order|shape)\1\s*:\s*('[^']*'|"[^"]*"|True|False|\([\dL,\s]*\))\s*(?:,|$)\s*/y;
  while (body !== undefined && pair.lastIndex < body.length) {
    const match = pair.exec(body);
    if (!match || fields.has(match[2] as string)) throw invalid(`${name} has a damaged .npy header`);
    fields.set(match[2] as string, match[3] as string);
  }
  const [descr, order, shape] = ['descr', 'fortran_order', 'shape'].map((key) => fields.get(key));
  const type = /^['"]([<>|=]?)([a-zA-Z]\d*)(?:\[.*\])?['"]$/.exec(descr ?? '');
  if (!type || (order !== 'True' && order !== 'False') || !shape?.startsWith('('))
    throw invalid(`${name} has a damaged .npy header`);
  const [, byteOrder, code] = type as unknown as [string, string, string];
  const dtype = dtypes.get(code);
  if (!dtype) {
    const kind = otherKinds.get(code[0] as string) ?? `elements of type ${code}`;
    throw invalid(`${name} holds ${kind} (${descr}); floats, whole numbers and bool are read`, {
      hint: 'Convert it: array.astype("float32").',
    });
  }
  if (elementBytes(dtype) > 1 && byteOrder !== '<' && byteOrder !== '>')
    throw invalid(`${name} states no byte order: ${descr}`);
  return {
    dtype,
    bigEndian: byteOrder === '>',
    columnMajor: order === 'True',
    dims: parseShape(shape, name),
  };
}

function parseShape(shape: string, name: string): number[] {
  const items = shape.slice(1, -1).split(',');
  if (items.at(-1)?.trim() === '') items.pop();
  const dims = items.map((item) => (/^\s*\d+L?\s*$/.test(item) ? Number.parseInt(item, 10) : Number.NaN));
  if (dims.length > maxRank || !dims.every(Number.isSafeInteger) || elementCount(dims) > 2 ** 50)
    throw invalid(`${name} has the shape ${shape}, which no array can have here`);
  return dims;
}

/** Column-major elements in row-major order. */
function rowMajor(elements: Elements, dims: readonly number[]): Elements {
  const turned = elements.slice();
  const strides: number[] = [];
  dims.reduce((stride, dim) => {
    strides.push(stride);
    return stride * dim;
  }, 1);
  const index = dims.map(() => 0);
  let from = 0;
  for (let to = 0; to < turned.length; to++) {
    turned[to] = elements[from] as number & bigint;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      const stride = strides[axis] as number;
      index[axis] = (index[axis] as number) + 1;
      from += stride;
      if ((index[axis] as number) < (dims[axis] as number)) break;
      from -= stride * (dims[axis] as number);
      index[axis] = 0;
    }
  }
  return turned;
}
