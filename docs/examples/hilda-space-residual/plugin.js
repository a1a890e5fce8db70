/**
 * Residual networks for images (He et al. 2016): blocks of two convolutions beside an identity. A network decides its number
 * of blocks, its width, and each block's kernel. The kernels of blocks beyond the depth decide nothing and stay at index 0.
 *
 * @typedef {{ input: readonly number[], classes: number }} Shape
 * @type {import('hilda/plugin').PluginFactory}
 */
export default ({ GraphBuilder, Emitter }) => {
  const depths = [1, 2, 3];
  const widths = [8, 12, 16];
  const kernels = [3, 5];

  /** @type {import('hilda/plugin').SpaceKind<Shape>} */
  const residual = {
    kind: 'residual',

    readFile(given) {
      const { input, classes, ...others } = given;
      const [unknown] = Object.keys(others);
      if (unknown !== undefined) throw new Error(`${unknown} is no field; known: input, classes`);
      const isCount = (/** @type {unknown} */ value) =>
        Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 1024;
      if (!Array.isArray(input) || input.length !== 3 || !input.every(isCount))
        throw new Error('input holds channels, height and width');
      if (!isCount(classes)) throw new Error('classes is a whole number from 1');
      return { input: input.map(Number), classes: Number(classes) };
    },

    create({ input, classes }) {
      const dims = [
        { name: 'blocks', choices: depths },
        { name: 'width', choices: widths },
        ...depths.map((_, i) => ({ name: `block${i + 1}.kernel`, choices: kernels })),
      ];
      const depthOf = (/** @type {readonly number[]} */ [depth = 0]) => depths[depth] ?? 1;
      return {
        dims,
        // A kernel for each block that there is.
        size: depths.reduce((sum, depth) => sum + widths.length * kernels.length ** depth, 0),
        normal: (indices) => indices.map((index, i) => (i < 2 + depthOf(indices) ? index : 0)),
        network(indices, weights) {
          const b = new GraphBuilder({ name: 'residual' });
          const e = new Emitter(b, weights);
          const width = widths[indices[1] ?? 0] ?? 8;
          let x = b.input('input', 'float32', [1, ...input]);
          x = e.conv(x, 'stem', { out: width, kernel: 3, stride: 2 });
          for (let i = 0; i < depthOf(indices); i++) {
            const kernel = kernels[indices[2 + i] ?? 0] ?? 3;
            const inner = e.conv(x, `block${i}.first`, { out: width, kernel });
            const outer = e.conv(inner, `block${i}.second`, { out: width, kernel, activation: 'none' });
            x = b.relu(b.add(x, outer));
          }
          b.output(e.imageHead(x, 'head', classes), 'logits');
          return b.build();
        },
        seeds: () => [dims.map(() => 0), dims.map(({ choices }) => choices.length - 1)],
      };
    },
  };
  return { spaces: [residual] };
};
