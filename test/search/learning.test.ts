/** The models that samplers learn with, each against what it must give. */
import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { BayesianLinear, normalScores } from '../../daemon/search/samplers/learning/bayesian-linear.js';
import { GaussianEnsemble } from '../../daemon/search/samplers/learning/gaussian-ensemble.js';
import { Mlp } from '../../daemon/search/samplers/learning/mlp.js';

t.test('bayesian linear regression: the weights it was made with, draws around them', async (t) => {
  const rng = Xoshiro128.fromSeed(2);
  const truth = [0.5, 2, -1, 0.25];
  const rows = Array.from({ length: 200 }, () => {
    const values = Float64Array.from([1, rng.next(), rng.next(), rng.next()]);
    return { columns: Int32Array.from([0, 1, 2, 3]), values };
  });
  const y = rows.map(
    ({ values }) =>
      values.reduce((sum, v, i) => sum + v * (truth[i] as number), 0) + 0.01 * (rng.next() - 0.5),
  );
  const model = BayesianLinear.fit(rows, y, 4);
  for (const [i, w] of truth.entries())
    t.ok(Math.abs((model.weights[i] as number) - w) < 0.03, `weight ${i}`);
  const draws = Array.from({ length: 300 }, () => model.draw(rng)[1] as number);
  const mean = draws.reduce((a, b) => a + b, 0) / draws.length;
  t.ok(Math.abs(mean - (model.weights[1] as number)) < 0.001);
  const scores = normalScores([5, 1, 3, 3]);
  t.ok((scores[0] as number) > (scores[2] as number) && scores[2] === scores[3] && (scores[1] as number) < 0);
});

t.test('the perceptron’s gradients are those of finite differences', async (t) => {
  const model = new Mlp([3, 4, 2], Xoshiro128.fromSeed(8));
  const x = Float64Array.of(0.2, -0.7, 0.5);
  const loss = (input: Float64Array): number => model.output(input).reduce((sum, v) => sum + v * v, 0);
  const activations = model.forward(x);
  const gradient = model.backward(
    activations,
    (activations.at(-1) as Float64Array).map((v) => 2 * v),
  );
  for (let i = 0; i < 3; i++) {
    const [up, down] = [1e-6, -1e-6].map((step) => loss(x.map((v, k) => (k === i ? v + step : v)))) as [
      number,
      number,
    ];
    t.ok(Math.abs((up - down) / 2e-6 - (gradient[i] as number)) < 1e-6);
  }
});

t.test('the perceptron learns the same with and without its shortcut', async (t) => {
  const [whole, short] = [0, 1].map(() => new Mlp([4, 3, 2], Xoshiro128.fromSeed(2))) as [Mlp, Mlp];
  const examples = [Float64Array.of(0, 1, 0, 0), Float64Array.of(0.5, 0, 0, -1)];
  const slopes = (out: Float64Array): Float64Array => out.map((value, i) => value - i);
  for (let step = 0; step < 3; step++) {
    for (const x of examples) {
      const activations = whole.forward(x);
      whole.backward(activations, slopes(activations.at(-1) as Float64Array));
      short.learn(x, slopes);
    }
    whole.step(0.1, examples.length);
    short.step(0.1, examples.length);
  }
  for (const x of examples) t.same(short.output(x), whole.output(x));
});

t.test('boshnas: the surrogate’s gradients are those of finite differences', async (t) => {
  const rng = Xoshiro128.fromSeed(3);
  const x = Array.from({ length: 40 }, () => Float64Array.from({ length: 3 }, () => rng.next()));
  const y = x.map(([a, b, c], i) => [a! + b! * c!, i % 3 === 0 ? Number.NaN : a! - b!]);
  const size = { members: 3, hidden: 6, steps: 200 };
  const ensemble = new GaussianEnsemble(x, y, size, Xoshiro128.fromSeed(4));
  const at = Float64Array.of(0.3, 0.6, 0.2);
  const [byMean, byDeviation] = [
    [1, -2],
    [0.5, 3],
  ];
  const value = (input: Float64Array): number => {
    const { means, deviations } = ensemble.at(input);
    return [0, 1].reduce((sum, k) => sum + byMean![k]! * means[k]! + byDeviation![k]! * deviations[k]!, 0);
  };
  const gradient = ensemble.at(at).gradient(byMean!, byDeviation!);
  for (let i = 0; i < 3; i++) {
    const [up, down] = [1e-6, -1e-6].map((by) => value(at.map((v, k) => (k === i ? v + by : v)))) as [
      number,
      number,
    ];
    t.ok(Math.abs((up - down) / 2e-6 - gradient[i]!) < 1e-5);
  }
  const errors = x.map((input, i) => Math.abs(ensemble.at(input).means[0]! - y[i]![0]!));
  t.ok(errors.reduce((a, b) => a + b, 0) / errors.length < 0.1, 'and it has learnt');
});
