/**
 * Nearest neighbours (Shepard 1968): the cost of a network is the mean of the most similar networks that were measured, each by
 * the inverse square of its distance. A column's distance is in units of its own spread.
 *
 * @type {import('hilda/plugin').PluginFactory}
 */
export default () => {
  const neighbours = 6;

  /** @type {import('hilda/plugin').ModelKind} */
  const model = {
    name: 'neighbours',
    minimumSamples: 8,

    fit({ columns, rows, logCosts, weights }) {
      const spreads = columns.map((_, j) => {
        const values = rows.map((row) => row[j] ?? 0);
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) || 1;
      });
      const distance = (/** @type {Float64Array} */ a, /** @type {Float64Array} */ b) =>
        spreads.reduce((sum, spread, j) => sum + (((a[j] ?? 0) - (b[j] ?? 0)) / spread) ** 2, 0);
      return (asked) =>
        Float64Array.from(asked, (row) => {
          const near = rows
            .map((known, i) => ({ i, squared: distance(row, known) }))
            .sort((a, b) => a.squared - b.squared || a.i - b.i)
            .slice(0, neighbours)
            .map(({ i, squared }) => ({ i, share: (weights[i] ?? 1) / (squared + 1e-6) }));
          const total = near.reduce((sum, { share }) => sum + share, 0);
          return near.reduce((sum, { i, share }) => sum + (share / total) * (logCosts[i] ?? 0), 0);
        });
    },
  };
  return { models: [model] };
};
