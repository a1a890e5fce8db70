import t from 'tap';
import { generatedSigns, seedOfName, signsName } from '../../daemon/network/generated-signs.js';

t.test('signs of a seed', async (t) => {
  // Words of the streams, from an implementation of ABI.md's text in another language: four bits an input, from below.
  const streams: readonly (readonly [number, number, readonly number[]])[] = [
    [1, 0, [0x64a60b73, 0x1ccf0b77, 0x49932147]],
    [1, 5, [0xa42a216e, 0xe0f5bccd, 0xbaead81b]],
    [0xffffffff, 0, [0xb482179b, 0x385098c3, 0x42554187]],
    // Where splitmix32 answers 0.
    [0x61c88647, 0, [0x510c4619, 0xe02e553e, 0x7bb98f3a]],
  ];
  for (const [seed, block, words] of streams) {
    const signs = generatedSigns(seed, 4, 24, 4 * block);
    const found = words.map((_, t) =>
      Array.from({ length: 32 }, (_, bit) =>
        signs[(bit % 4) * 24 + 8 * t + (bit >> 2)] === -1 ? 2 ** bit : 0,
      ).reduce((a, b) => a + b),
    );
    t.same(found, words, `seed ${seed}, block ${block}`);
  }
  t.same(
    generatedSigns(3, 37, 50),
    generatedSigns(3, 200, 50).subarray(0, 37 * 50),
    'fewer are the first of more',
  );
  t.same(
    generatedSigns(3, 6, 50, 12),
    generatedSigns(3, 20, 50).subarray(12 * 50, 18 * 50),
    'any block on its own',
  );
  for (const [name, seed] of [
    [signsName(0), 0],
    [signsName(0xffffffff), 0xffffffff],
    ['generated.signs.12.transposed', 12],
    ['generated.signs.4294967296', undefined],
    ['generated.signs.1x', undefined],
    ['generated.signs.', undefined],
    ['my.generated.signs.1', undefined],
  ] as const)
    t.equal(seedOfName(name), seed, name);
});

t.test('signs project as coins would', async (t) => {
  const [outputs, depth] = [256, 784];
  for (const seed of [0, 1, 2]) {
    const signs = generatedSigns(seed, outputs, depth);
    // Correlations of all pairs of outputs, and of inputs: of coins, their mean is 0 and their variance 1 / n.
    const products = (count: number, n: number, at: (which: number, i: number) => number): number[] => {
      const all: number[] = [];
      for (let a = 0; a < count; a++)
        for (let b = 0; b < a; b++) {
          let sum = 0;
          for (let i = 0; i < n; i++) sum += at(a, i) * at(b, i);
          all.push(sum / Math.sqrt(n));
        }
      return all;
    };
    for (const [what, all] of [
      ['outputs', products(outputs, depth, (j, i) => signs[j * depth + i] as number)],
      ['inputs', products(200, outputs, (i, j) => signs[j * depth + i] as number)],
    ] as const) {
      const pairs = all.length;
      const mean = all.reduce((sum, z) => sum + z, 0) / pairs;
      const variance = all.reduce((sum, z) => sum + z * z, 0) / pairs;
      // Six standard deviations of what coins give.
      t.ok(Math.abs(mean) < 6 / Math.sqrt(pairs), `${what} of ${seed}: mean ${mean}`);
      t.ok(Math.abs(variance - 1) < 6 * Math.sqrt(2 / pairs), `${what} of ${seed}: variance ${variance}`);
      t.ok(
        all.every((z) => Math.abs(z) < 6),
        `${what} of ${seed}: no two are alike`,
      );
    }
    const balance = signs.reduce((sum, sign) => sum + sign, 0) / Math.sqrt(signs.length);
    t.ok(Math.abs(balance) < 6, `${balance}`);
  }
});
