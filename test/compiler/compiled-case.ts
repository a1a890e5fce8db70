import { type Rng, randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import type { CompiledNetwork } from '../../firmware-bridge/compiler/index.js';
import { Reference } from '../../firmware-bridge/compiler/index.js';
import type { ProgramCase } from '../firmware/program-case.js';

export const randomInput = (rng: Rng, bytes: number): Int8Array =>
  Int8Array.from({ length: bytes }, () => randomInt(rng, 256) - 128);

/** What a compiled network answers to an input, from an arena full of rubbish. */
export function answer({ program }: CompiledNetwork, input: Int8Array): Int8Array {
  const reference = new Reference(program);
  reference.arena.set(randomInput(Xoshiro128.fromSeed(9), reference.arena.length));
  return reference.run(input);
}

/** A compiled network with an input as a case for the C runtime, which must leave the reference's output. */
export function compiledCase(name: string, compiled: CompiledNetwork, input: Int8Array): ProgramCase {
  const { header } = new Reference(compiled.program);
  const arena = new Uint8Array(header.arenaBytes).fill(0x5a);
  const bytes = new Uint8Array(input.buffer, input.byteOffset, input.byteLength);
  const fetched = header.inputOffset === undefined;
  if (!fetched) arena.set(bytes, header.inputOffset);
  return {
    name,
    program: compiled.program,
    arena,
    input: fetched ? bytes : new Uint8Array(0),
    poolBytes: header.poolBytes,
    patience: 0,
    expected: [{ at: header.outputOffset, bytes: answer(compiled, input) }],
  };
}
