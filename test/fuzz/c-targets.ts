import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { encodeFrame } from '../../firmware-bridge/link/frames.js';
import { kinds, pack } from '../../firmware-bridge/link/messages.js';
import { groupCases } from '../firmware/group-cases.js';
import { operatorCases } from '../firmware/operator-cases.js';
import { recurrentCases } from '../firmware/recurrent-cases.js';
import { fillProgram } from '../link/tiny-program.js';

const run = promisify(execFile);
const root = resolve(fileURLToPath(new URL('../../..', import.meta.url)));
const firmware = join(root, 'firmware-bridge/firmware');
const ours = join(root, 'test/fuzz/c');

export interface CFigures {
  readonly inputs: number;
  readonly seeds: number;
  readonly corpus: number;
  readonly edgesOfSeeds: number;
  readonly edges: number;
  readonly slow: number;
}

interface CTarget {
  /** Instrumented. */
  readonly sources: () => Promise<readonly string[]>;
  readonly seeds: () => readonly Uint8Array[];
}

const sourcesIn = async (...folders: string[]): Promise<string[]> =>
  (
    await Promise.all(
      folders.map(async (folder) =>
        (
          await readdir(join(firmware, folder))
        )
          .filter((name) => name.endsWith('.c') && name !== 'main.c')
          .map((name) => join(firmware, folder, name)),
      ),
    )
  ).flat();

const request = (kind: number, payload: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.of(kind, payload.length & 0xff, payload.length >> 8), payload]);

/** A program uploaded to a slot and run, and what is asked of it then. */
function conversation(slot: number, program: Uint8Array): Uint8Array {
  const begin = pack([slot, 8], [0, 8], [0, 16], [program.length, 32], [crc32(program), 32]);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < program.length; at += 512)
    pieces.push(request(kinds.data, pack([at, 32], program.subarray(at, at + 512))));
  return Buffer.concat([
    request(kinds.begin, begin),
    ...pieces,
    request(kinds.finish, pack()),
    ...(slot === 1 ? [request(kinds.commit, pack())] : []),
    request(kinds.run, pack([slot, 8], [1, 8], [0xa5, 8], [0, 8], [1000, 32])),
    request(kinds.ticks, pack([0, 16], [1, 16])),
    request(kinds.report, pack()),
    request(kinds.read, pack([0, 8], [0, 32], [64, 16])),
  ]);
}

const cases = (most: number) => {
  const rng = Xoshiro128.fromSeed(99);
  return Object.values({ ...operatorCases, ...groupCases, ...recurrentCases }).flatMap((generate) =>
    Array.from({ length: 30 }, () => generate(rng, 'scalar'))
      .filter(({ arena, program }) => arena.length < 4000 && program.length < most)
      .slice(0, 3),
  );
};

const targets: Readonly<Record<'c-frames' | 'c-session' | 'c-programs', CTarget>> = {
  'c-frames': {
    sources: async () => ['link/frame.c', 'link/crc32.c'].map((name) => join(firmware, name)),
    seeds: () => [
      encodeFrame({ kind: kinds.hello, request: 1, session: 7, payload: new Uint8Array(0) }),
      encodeFrame({ kind: kinds.echo, request: 2, session: 7, payload: new Uint8Array(600).fill(3) }),
      encodeFrame({ kind: kinds.data, request: 3, session: 7, payload: Uint8Array.of(0, 0, 1, 0, 2) }),
    ],
  },
  'c-session': {
    sources: async () => sourcesIn('main', 'link', 'runtime', 'operators'),
    seeds: () => [
      conversation(0, fillProgram(7)),
      conversation(1, fillProgram(7)),
      ...cases(1500)
        .slice(0, 24)
        .map(({ program }) => conversation(0, program)),
      Buffer.concat([
        request(kinds.ping, pack()),
        request(kinds.echo, Uint8Array.of(1, 2, 3)),
        request(kinds.fill, pack([0, 8], [0, 32], [64, 32], [5, 32])),
        request(kinds.fill, pack([1, 8], [0, 32], [4096, 32], [5, 32])),
        request(kinds.write, pack([0, 8], [16, 32], Uint8Array.of(1, 2, 3))),
        request(kinds.erase, pack()),
        request(kinds.cancel, pack()),
        request(0, Uint8Array.of(5, 1, 2, 0, 3)),
        request(kinds.reset, pack()),
      ]),
    ],
  },
  'c-programs': {
    sources: async () => [
      ...(await sourcesIn('runtime', 'operators')),
      join(root, 'test/firmware/driver/run-case.c'),
    ],
    seeds: () =>
      cases(8000).map(({ program, arena, poolBytes }) => {
        const units = Math.ceil(arena.length / 16);
        return Buffer.concat([Uint8Array.of(units & 0xff, units >> 8, Math.ceil(poolBytes / 64)), program]);
      }),
  },
};

export const cTargetNames = Object.keys(targets) as (keyof typeof targets)[];

/** Compiles a target with gcc, its own code instrumented, all of it under sanitizers, and runs it. Throws what it printed. */
export async function fuzzC(
  name: keyof typeof targets,
  { seed, inputs }: { readonly seed: number; readonly inputs: number },
): Promise<CFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-fuzz-c-'));
  try {
    const flags = [
      '-std=gnu11',
      '-O1',
      '-g',
      '-DHILDA_HOST',
      `-I${firmware}/include`,
      '-fno-strict-aliasing',
      '-fwrapv',
    ];
    const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
    const { sources, seeds } = targets[name];
    const compiled = async (
      files: readonly string[],
      more: readonly string[],
      part: string,
    ): Promise<string[]> => {
      await mkdir(join(folder, part));
      return Promise.all(
        files.map(async (file, i) => {
          const object = join(folder, part, `${i}-${basename(file)}.o`);
          await run('gcc', [...flags, ...sanitizers, ...more, '-c', file, '-o', object]);
          return object;
        }),
      );
    };
    const target = join(ours, `target-${name.slice(2)}.c`);
    const instrumented = await compiled(
      [...(await sources()), target],
      ['-fsanitize-coverage=trace-pc'],
      'traced',
    );
    const plain = await compiled([join(ours, 'guided.c'), join(ours, 'cover.c')], [], 'plain');
    const program = join(folder, 'fuzz');
    await run('gcc', [...sanitizers, ...instrumented, ...plain, '-o', program]);
    const file = join(folder, 'seeds');
    await writeFile(file, Buffer.concat(seeds().flatMap((bytes) => [pack([bytes.length, 32]), bytes])));
    const { stdout } = await run(program, [file, String(seed), String(inputs)], { maxBuffer: 2 ** 26 });
    return JSON.parse(stdout) as CFigures;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
