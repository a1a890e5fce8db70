/**
 * First indices of the segments of least cost: squares about each segment's mean plus `penalty` a segment, none shorter than `least`
 * (Killick, Fearnhead and Eckley, 2012, "Optimal detection of changepoints with a linear computational cost", JASA 107:1590).
 * Values have deviation 1.
 */
export function pelt(values: readonly number[], penalty: number, least: number): number[] {
  const n = values.length;
  const sums = new Float64Array(n + 1);
  const squares = new Float64Array(n + 1);
  const origin = values[0] ?? 0;
  values.forEach((value, i) => {
    const x = value - origin;
    sums[i + 1] = (sums[i] as number) + x;
    squares[i + 1] = (squares[i] as number) + x * x;
  });
  const cost = (from: number, to: number): number => {
    const sum = (sums[to] as number) - (sums[from] as number);
    return (squares[to] as number) - (squares[from] as number) - (sum * sum) / (to - from);
  };
  const best = new Float64Array(n + 1).fill(Number.POSITIVE_INFINITY);
  const start = new Int32Array(n + 1);
  best[0] = -penalty;
  let candidates = [0];
  for (let to = least; to <= n; to++) {
    for (const from of candidates) {
      const total = (best[from] as number) + cost(from, to) + penalty;
      if (total < (best[to] as number)) {
        best[to] = total;
        start[to] = from;
      }
    }
    candidates = candidates.filter((from) => (best[from] as number) + cost(from, to) <= (best[to] as number));
    const next = to - least + 1;
    if (next >= least && Number.isFinite(best[next] as number)) candidates.push(next);
  }
  const starts: number[] = [];
  for (let to = n; to > 0; to = start[to] as number) starts.unshift(start[to] as number);
  return starts;
}
