import { positionsOf } from '../../../firmware-bridge/compiler/index.js';
import { HildaError } from '../../core/errors.js';
import type { DeployedPort as BoardPort, Tensors } from '../contract.js';
import { elementReader, elementWriter, portBytes } from './port-elements.js';

/** What the board takes, all inputs one behind the other. Throws REQUEST_INVALID. */
export function allToBoard(inputs: Tensors, ports: readonly BoardPort[]): Int8Array {
  const parts = ports.map((port) => toBoard(inputs, port));
  const bytes = new Int8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** All outputs as real numbers. */
export function allFromBoard(bytes: Int8Array, ports: readonly BoardPort[]): Tensors {
  let at = 0;
  return Object.assign(
    {},
    ...ports.map((port) => {
      const length = portBytes(port);
      at += length;
      return fromBoard(bytes.subarray(at - length, at), port);
    }),
  );
}

/** The network's input as the board takes it. Throws REQUEST_INVALID when it is missing or of another size. */
function toBoard(inputs: Tensors, port: BoardPort): Int8Array {
  const tensor = inputs[port.name];
  const elements = port.dims.reduce((product, dim) => product * dim, 1);
  if (!tensor || tensor.data.length !== elements) {
    throw new HildaError(
      'REQUEST_INVALID',
      `the network takes "${port.name}" with ${elements} values (${port.dims.join(' x ')}), ${tensor ? `${tensor.data.length} were given` : 'it was not given'}`,
    );
  }
  const at = positionsOf(port);
  const out = new Int8Array(portBytes(port));
  const write = elementWriter(port, out);
  for (const [i, value] of tensor.data.entries()) write(at(i), value, i);
  return out;
}

/** The board's output as real numbers. */
function fromBoard(bytes: Int8Array, port: BoardPort): Tensors {
  const at = positionsOf(port);
  const read = elementReader(port, bytes);
  const elements = port.dims.reduce((product, dim) => product * dim, 1);
  const data = Float32Array.from({ length: elements }, (_, i) => read(at(i)));
  return { [port.name]: { dims: port.dims, data } };
}
