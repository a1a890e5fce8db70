import { crc32 } from 'node:zlib';
import { type CompiledNetwork, Reference } from '../../../firmware-bridge/compiler/index.js';
import type { BoardSession, Hello, ProgramFacts, Slot } from '../../../firmware-bridge/link/index.js';
import { HildaError } from '../../core/errors.js';
import { networkFacts } from '../../measure/network-facts.js';
import type { Graph } from '../../network/graph.js';
import type { DeployedPort, Deployment, Drawn, Rehearsal, Tensors } from '../contract.js';
import { answerHash, testInputs } from '../random-inputs.js';
import type { RunBounds } from './board-runs.js';
import { allFromBoard, allToBoard } from './int8-tensors.js';

type Ports = Pick<Deployment, 'input' | 'output' | 'moreInputs' | 'moreOutputs'>;
/** Where a program that is on the board has its input and output, and what they mean. */
export type Placed = Ports & Omit<ProgramFacts, 'operators' | 'arenaBytes'>;

/** What a deployment is known by afterwards. */
export function deploymentOf(
  network: Graph,
  compiled: CompiledNetwork,
  { inputOffset, inputBytes, outputOffset, outputBytes }: ProgramFacts,
  calibratedOn: Deployment['calibratedOn'],
): Deployment {
  const { structureHash, weightsHash } = networkFacts(network);
  return {
    structureHash,
    weightsHash,
    programCrc: crc32(compiled.program),
    flashBytes: compiled.flashBytes,
    arenaBytes: compiled.arenaBytes,
    inputOffset,
    inputBytes,
    outputOffset,
    outputBytes,
    ...portsOf(compiled),
    calibratedOn,
  };
}

/** What the program will be known by, and what the integer reference answers to the test inputs. */
export function rehearsalOf(network: Graph, compiled: CompiledNetwork, tests: Drawn): Rehearsal {
  const { program, flashBytes, arenaBytes, inputs, outputs } = compiled;
  const reference = new Reference(program);
  return {
    programCrc: crc32(program),
    flashBytes,
    arenaBytes,
    answers: testInputs(network, tests).map((input) =>
      answerHash(allFromBoard(reference.run(allToBoard(input, inputs)), outputs)),
    ),
  };
}

/** Throws STATE_CONFLICT where the board holds another deployment, or none. */
export function checkDeployed({ programCrc }: Deployment, { deployedCrc, deployedBytes }: Hello): void {
  if (deployedBytes !== 0 && deployedCrc === programCrc) return;
  throw new HildaError('STATE_CONFLICT', 'the board holds no network, or another one', {
    hint: 'Deploy it again with `hilda deploy`.',
    details: { deployedBytes, deployedCrc, expectedCrc: programCrc },
  });
}

/** One inference of a program that is on the board. */
export async function inferOnce(
  session: BoardSession,
  slot: Slot,
  placed: Placed,
  inputs: Tensors,
  bounds: RunBounds,
): Promise<Tensors> {
  const { signal } = bounds;
  const input = new Uint8Array(allToBoard(inputs, [placed.input, ...placed.moreInputs]).buffer);
  if (placed.inputOffset !== null) await session.write(placed.inputOffset, input, { signal });
  await session.run({ slot, input, ...bounds });
  const output = await session.read(placed.outputOffset, placed.outputBytes, { signal });
  const bytes = new Int8Array(output.buffer, output.byteOffset, output.length);
  return allFromBoard(bytes, [placed.output, ...placed.moreOutputs]);
}

export const portsOf = ({ inputs, outputs }: CompiledNetwork): Ports => {
  const port = (of: CompiledNetwork['input']): DeployedPort => {
    const { name, dims, layout, quantisation, dtype, elementBytes } = of;
    return { name, dims, layout, quantisation, dtype, elementBytes };
  };
  const [input, ...moreInputs] = inputs.map(port) as [DeployedPort, ...DeployedPort[]];
  const [output, ...moreOutputs] = outputs.map(port) as [DeployedPort, ...DeployedPort[]];
  return { input, output, moreInputs, moreOutputs };
};
