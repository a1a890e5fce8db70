import t, { type Test } from 'tap';
import { Xoshiro128 } from '../../../daemon/core/rng.js';
import { SessionProcess } from '../../../daemon/runtime/session-process.js';
import { type Case, checkCases } from './operator-cases.js';
import { byte, constant, drawn, furthest, int, ints, options, ramp, runOne } from './run-converted.js';
import type { TensorSpec } from './write-tflite.js';

const runtime = new SessionProcess();
t.teardown(() => runtime.stop());
t.setTimeout(300_000);

const check = (t: Test, cases: readonly Case[]): Promise<void> => checkCases(t, runtime, cases);

t.test('shapes', async (t) => {
  const six = [[2, 3], ramp([2, 3])] as const;
  const cube = [[2, 2, 2], ramp([2, 2, 2])] as const;
  const axis = (value: number): TensorSpec => constant([], [value], 'int32');
  await check(t, [
    ['RESHAPE', [six, ints(3, -1)], [3, 2], ramp([6]), options('Reshape', ['ints', [3, -1]])],
    ['RESHAPE', [six], [6], ramp([6]), options('Reshape', ['ints', [6]])],
    ['SQUEEZE', [[[1, 2, 1, 3], ramp([6])]], [2, 3], ramp([6]), options('Squeeze', ['ints', []])],
    ['SQUEEZE', [[[1, 2, 1, 3], ramp([6])]], [1, 2, 3], ramp([6]), options('Squeeze', ['ints', [-2]])],
    ['EXPAND_DIMS', [six, axis(-1)], [2, 3, 1], ramp([6]), options('ExpandDims')],
    ['TRANSPOSE', [cube, ints(2, 0, 1)], [2, 2, 2], [0, 2, 4, 6, 1, 3, 5, 7], options('Transpose')],
    [
      'CONCATENATION',
      [six, six],
      [2, 6],
      [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5],
      options('Concatenation', int(-1), byte(0)),
    ],
    [
      'CONCATENATION',
      [
        six,
        [
          [2, 1],
          [-1, -2],
        ],
      ],
      [2, 4],
      [0, 1, 2, 0, 3, 4, 5, 0],
      options('Concatenation', int(1), byte(1)),
    ],
    ['PACK', [six, six], [2, 2, 3], [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5], options('Pack', int(2), int(1))],
    ['TILE', [six, ints(1, 2)], [2, 6], [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5], options('Tile')],
    [
      'BROADCAST_TO',
      [
        [
          [2, 1],
          [5, 6],
        ],
        ints(2, 2, 2),
      ],
      [2, 2, 2],
      [5, 5, 6, 6, 5, 5, 6, 6],
      options('BroadcastTo'),
      'float32',
      2,
    ],
    ['SHAPE', [six], [2], [2, 3], options('Shape', byte(2)), 'int32'],
    ['RANK', [six], [], [2], options('Rank'), 'int32'],
    ['FILL', [ints(2, 2), [[], [4]]], [2, 2], [4, 4, 4, 4], options('Fill')],
    ['RANGE', [axis(2), axis(9), axis(3)], [3], [2, 5, 8], options('Range'), 'int32'],
    [
      'CAST',
      [[[4], [-1.75, 0, 1.75, 300]]],
      [4],
      [-1, 0, 1, 300],
      options('Cast', byte(0), byte(2)),
      'int32',
    ],
    ['CAST', [[[3], [-1.75, 0, 1.75]]], [3], [1, 0, 1], options('Cast', byte(0), byte(6)), 'bool'],
    [
      'SPACE_TO_DEPTH',
      [[[1, 2, 4, 1], ramp([8])]],
      [1, 1, 2, 4],
      [0, 1, 4, 5, 2, 3, 6, 7],
      options('SpaceToDepth', int(2)),
    ],
    [
      'DEPTH_TO_SPACE',
      [[[1, 1, 2, 4], ramp([8])]],
      [1, 2, 4, 1],
      [0, 1, 4, 5, 2, 3, 6, 7],
      options('DepthToSpace', int(2)),
    ],
    [
      'SPACE_TO_BATCH_ND',
      [[[1, 2, 3, 1], ramp([6], 1)], ints(2, 2), constant([2, 2], [0, 0, 1, 0], 'int32')],
      [4, 1, 2, 1],
      [0, 2, 1, 3, 0, 5, 4, 6],
      options('SpaceToBatchND'),
    ],
    [
      'BATCH_TO_SPACE_ND',
      [
        [
          [4, 1, 2, 1],
          [0, 2, 1, 3, 0, 5, 4, 6],
        ],
        ints(2, 2),
        constant([2, 2], [0, 0, 1, 0], 'int32'),
      ],
      [1, 2, 3, 1],
      ramp([6], 1),
      options('BatchToSpaceND'),
    ],
  ]);
  const [a, b, c] = await runOne(
    runtime,
    'SPLIT_V',
    {
      inputs: [{ dims: [2, 6] }, ints(1, -1, 2), axis(1)],
      outputs: [{ dims: [2, 1] }, { dims: [2, 3] }, { dims: [2, 2] }],
      options: options('SplitV', int(3)),
    },
    [ramp([12])],
  );
  t.same(
    [a?.values, b?.values, c?.values],
    [
      [0, 6],
      [1, 2, 3, 7, 8, 9],
      [4, 5, 10, 11],
    ],
  );
  const halves = await runOne(
    runtime,
    'SPLIT',
    {
      inputs: [axis(-1), { dims: [2, 4] }],
      outputs: [{ dims: [2, 2] }, { dims: [2, 2] }],
      options: options('Split', int(2)),
    },
    [ramp([8])],
  );
  t.same(
    halves.map(({ values }) => values),
    [
      [0, 1, 4, 5],
      [2, 3, 6, 7],
    ],
  );
  const rows = await runOne(
    runtime,
    'UNPACK',
    {
      inputs: [{ dims: [2, 3] }],
      outputs: [{ dims: [2] }, { dims: [2] }, { dims: [2] }],
      options: options('Unpack', int(3), int(1)),
    },
    [ramp([6])],
  );
  t.same(
    rows.map(({ values }) => values),
    [
      [0, 3],
      [1, 4],
      [2, 5],
    ],
  );
});

t.test('slices and paddings', async (t) => {
  const grid = [[3, 4], ramp([3, 4])] as const;
  const cube = [[2, 2, 3], ramp([2, 2, 3])] as const;
  const masks = (begin: number, end: number, ellipsis: number, fresh: number, shrink: number) =>
    options('StridedSlice', int(begin), int(end), int(ellipsis), int(fresh), int(shrink));
  const strided = (
    from: Case[1][number],
    lists: readonly (readonly number[])[],
    dims: number[],
    wanted: number[],
    option = masks(0, 0, 0, 0, 0),
  ): Case => ['STRIDED_SLICE', [from, ...lists.map((list) => ints(...list))], dims, wanted, option];
  const paddings = (...values: number[]): TensorSpec => constant([values.length / 2, 2], values, 'int32');
  await check(t, [
    ['SLICE', [grid, ints(1, 1), ints(-1, 2)], [2, 2], [5, 6, 9, 10], options('Slice')],
    strided(
      grid,
      [
        [0, 1],
        [3, 4],
        [2, 2],
      ],
      [2, 2],
      [1, 3, 9, 11],
    ),
    strided(
      grid,
      [
        [-1, -1],
        [-9, -9],
        [-1, -2],
      ],
      [3, 2],
      [11, 9, 7, 5, 3, 1],
    ),
    strided(
      grid,
      [
        [9, 9],
        [0, 0],
        [-1, -1],
      ],
      [3, 4],
      ramp([12]).reverse(),
      masks(3, 3, 0, 0, 0),
    ),
    strided(
      grid,
      [
        [2, 0],
        [9, 9],
        [1, 1],
      ],
      [4],
      [8, 9, 10, 11],
      masks(0, 0, 0, 0, 1),
    ),
    strided(
      grid,
      [
        [0, -3],
        [9, 0],
        [1, 1],
      ],
      [3],
      [1, 5, 9],
      masks(0, 0, 0, 0, 2),
    ),
    strided(
      grid,
      [
        [0, 0, 1],
        [0, 0, 3],
        [1, 1, 1],
      ],
      [3, 1, 2],
      [1, 2, 5, 6, 9, 10],
      masks(0, 0, 1, 2, 0),
    ),
    strided(
      cube,
      [
        [0, 1],
        [0, 2],
        [1, 1],
      ],
      [2, 2],
      [1, 4, 7, 10],
      masks(0, 0, 1, 0, 2),
    ),
    strided(
      grid,
      [
        [2, 3],
        [1, 1],
        [1, 1],
      ],
      [0, 0],
      [],
    ),
    ['REVERSE_V2', [grid, ints(0)], [3, 4], [8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3], options('ReverseV2')],
    [
      'PAD',
      [
        [
          [1, 2],
          [1, 2],
        ],
        paddings(1, 0, 0, 2),
      ],
      [2, 4],
      [0, 0, 0, 0, 1, 2, 0, 0],
      options('Pad'),
    ],
    ['PADV2', [[[2], [1, 2]], paddings(1, 2), constant([1], [9])], [5], [9, 1, 2, 9, 9], options('PadV2')],
    [
      'MIRROR_PAD',
      [[[3], [1, 2, 3]], paddings(2, 1)],
      [6],
      [3, 2, 1, 2, 3, 2],
      options('MirrorPad', byte(0)),
    ],
    [
      'MIRROR_PAD',
      [[[3], [1, 2, 3]], paddings(2, 1)],
      [6],
      [2, 1, 1, 2, 3, 3],
      options('MirrorPad', byte(1)),
    ],
    [
      'MIRROR_PAD',
      [
        [
          [2, 2],
          [1, 2, 3, 4],
        ],
        paddings(1, 0, 0, 2),
      ],
      [3, 4],
      [1, 2, 2, 1, 1, 2, 2, 1, 3, 4, 4, 3],
      options('MirrorPad', byte(1)),
    ],
  ]);
});

t.test('images change their size by each definition of positions', async (t) => {
  const rng = Xoshiro128.fromSeed(72);
  const clampTo = (v: number, size: number): number => Math.min(Math.max(v, 0), size - 1);
  for (const op of ['RESIZE_NEAREST_NEIGHBOR', 'RESIZE_BILINEAR'] as const)
    for (const [corners, half] of [
      [0, 0],
      [1, 0],
      [0, 1],
    ] as const)
      for (const [from, to] of [
        [
          [3, 5],
          [7, 2],
        ],
        [
          [4, 6],
          [8, 12],
        ],
        [
          [7, 9],
          [3, 31],
        ],
        [
          [5, 1],
          [1, 4],
        ],
      ] as const) {
        const values = drawn(rng, [from[0] * from[1] * 2]);
        const scale = (i: 0 | 1): number =>
          corners && to[i] > 1 ? Math.fround((from[i] - 1) / (to[i] - 1)) : Math.fround(from[i] / to[i]);
        const pixel = (y: number, x: number, c: number): number =>
          values[(clampTo(y, from[0]) * from[1] + clampTo(x, from[1])) * 2 + c] as number;
        const nearest = (at: number, i: 0 | 1): number => {
          const exact = Math.fround((at + (half ? 0.5 : 0)) * scale(i));
          return corners ? Math.round(exact) : Math.floor(exact);
        };
        const wanted: number[] = [];
        for (let y = 0; y < to[0]; y++)
          for (let x = 0; x < to[1]; x++)
            for (let c = 0; c < 2; c++) {
              if (op === 'RESIZE_NEAREST_NEIGHBOR') wanted.push(pixel(nearest(y, 0), nearest(x, 1), c));
              else {
                const [iy, ix] = (
                  [
                    [y, 0],
                    [x, 1],
                  ] as const
                ).map(([at, i]) => clampTo(half ? (at + 0.5) * scale(i) - 0.5 : at * scale(i), from[i])) as [
                  number,
                  number,
                ];
                const [fy, fx] = [Math.floor(iy), Math.floor(ix)];
                const row = (r: number): number =>
                  pixel(r, fx, c) * (1 - ix + fx) + pixel(r, fx + 1, c) * (ix - fx);
                wanted.push(row(fy) * (1 - iy + fy) + row(fy + 1) * (iy - fy));
              }
            }
        const fields =
          op === 'RESIZE_BILINEAR'
            ? [undefined, undefined, byte(corners), byte(half)]
            : [byte(corners), byte(half)];
        const type = op === 'RESIZE_BILINEAR' ? 'ResizeBilinear' : 'ResizeNearestNeighbor';
        const [y] = await runOne(
          runtime,
          op,
          {
            inputs: [{ dims: [1, ...from, 2] }, ints(...to)],
            outputs: [{ dims: [1, ...to, 2] }],
            options: options(type, ...fields),
          },
          [values],
        );
        t.ok(furthest(y?.values ?? [], wanted) < 3e-6, `${op} ${[corners, half]} ${from} to ${to}`);
      }
});
