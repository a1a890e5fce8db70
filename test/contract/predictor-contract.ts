import type { Test } from 'tap';
import type { Predictor } from '../../daemon/predict/contract.js';

/** What every predictor must keep. The samples should be ones it can learn; `strange` adds a feature never seen. */
export function predictorContract<X>(
  t: Test,
  make: () => Predictor<X>,
  x: readonly X[],
  y: readonly number[],
  strange: (sample: X) => X,
): void {
  const unfit = { code: 'PREDICTOR_UNFIT' };
  const predictor = make();
  t.throws(() => predictor.predict(x), unfit);
  t.throws(() => predictor.score(), unfit);
  t.throws(
    () => predictor.fit(x.slice(0, predictor.minimumSamples - 1), y.slice(0, predictor.minimumSamples - 1)),
    unfit,
  );
  predictor.fit(x, y);
  const { mean, low, high } = predictor.predict(x);
  t.ok(
    mean.every((m, i) => (low[i] as number) <= m && m <= (high[i] as number)),
    'the mean lies in its interval',
  );
  const score = predictor.score();
  t.equal(score.n, x.length);
  t.ok(score.spearman > 0.9, `learns an easy rule (Spearman ${score.spearman})`);
  t.ok(score.coverage >= 0.8 && score.coverage <= 1);

  const again = make();
  again.fit(x, y);
  t.same([...again.predict(x).mean], [...mean], 'deterministic');
  const restored = make();
  restored.restore(JSON.parse(JSON.stringify(predictor.state())));
  t.same([...restored.predict(x).high], [...high], 'state survives a round trip');

  const known = predictor.predict(x.slice(0, 1));
  const foreign = predictor.predict([strange(x[0] as X)]);
  const width = (p: typeof known): number => (p.high[0] as number) - (p.low[0] as number);
  t.ok(width(foreign) > width(known), 'unseen features widen the interval');
}
