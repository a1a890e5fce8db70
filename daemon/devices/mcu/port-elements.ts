import { quantise } from '../../../firmware-bridge/compiler/index.js';
import { HildaError } from '../../core/errors.js';
import type { DeployedPort } from '../contract.js';

/** Values that an integer type holds, of those that a byte stands for. */
const byteLimits: ReadonlyMap<string, readonly [number, number]> = new Map([
  ['int8', [-128, 127]],
  ['uint8', [0, 255]],
  ['bool', [0, 1]],
]);
const wholeLimits = [-(2 ** 31), 2 ** 31 - 1] as const;

/** Bytes of a port on the board. */
export const portBytes = ({ dims, elementBytes = 1 }: DeployedPort): number =>
  dims.reduce((product, dim) => product * dim, elementBytes);

/** Writes an element of a port. Integers go as they are. Throws REQUEST_INVALID for what an integer type does not hold. */
export function elementWriter(
  port: DeployedPort,
  bytes: Int8Array,
): (at: number, value: number, index: number) => void {
  const { quantisation, dtype = 'float32', elementBytes = 1 } = port;
  const limits = elementBytes === 4 ? wholeLimits : byteLimits.get(dtype);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (at, value, index) => {
    if (limits && !(Number.isInteger(value) && value >= limits[0] && value <= limits[1]))
      throw new HildaError(
        'REQUEST_INVALID',
        `"${port.name}" takes whole numbers from ${limits[0]} to ${limits[1]} (${dtype}), element ${index} is ${value}`,
      );
    if (elementBytes === 4) view.setInt32(4 * at, value, true);
    else bytes[at] = quantise(value, quantisation);
  };
}

/** Reads an element of a port as the number it stands for. */
export function elementReader(port: DeployedPort, bytes: Int8Array): (at: number) => number {
  const { quantisation, elementBytes = 1 } = port;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (elementBytes === 4) return (at) => view.getInt32(4 * at, true);
  return (at) => quantisation.scale * ((bytes[at] as number) - quantisation.zeroPoint);
}
