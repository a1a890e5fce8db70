import { FigureChart } from './figure-chart.js';
import { predictor } from './state.js';

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const logPercent = (log: number): number => 100 * (Math.exp(log) - 1);
const unitOf = (metric: string): string => (metric === 'latencyUs' ? 'µs' : metric);

/** How far to trust a predictor: everything is held-out, of its own samples. */
export function PredictorView() {
  const opened = predictor.value;
  if (!opened) return <p>Loading.</p>;
  const { detail, figures } = opened;
  const { score, drift, provenance } = detail;
  const unit = unitOf(detail.metric);
  return (
    <section aria-labelledby="predictor">
      <h2 id="predictor">{detail.id}</h2>
      <p>
        {detail.spaceId} on {detail.deviceId}: {detail.samples} networks, {provenance}; {detail.model}
      </p>
      {detail.cautions.map((caution) => (
        <p key={caution} class="failure">
          {caution}
        </p>
      ))}
      <dl>
        {score && (
          <>
            <div>
              <dt>Spearman</dt>
              <dd>{score.spearman.toFixed(3)}</dd>
            </div>
            <div>
              <dt>Mean error</dt>
              <dd>{score.mape.toFixed(1)} %</dd>
            </div>
            <div>
              <dt>Within 10 %</dt>
              <dd>{percent(score.within10)}</dd>
            </div>
          </>
        )}
        <div>
          <dt>Drift</dt>
          <dd>{drift.state}</dd>
        </div>
      </dl>
      {figures.pairs.length === 0 ? (
        <p>No whole network was measured that its predictions could be drawn against.</p>
      ) : (
        <div class="figures">
          <FigureChart
            title="Predicted (held out) against measured"
            x={`${provenance === 'emulated' ? 'emulated' : 'measured'}, ${unit}`}
            y={`predicted, ${unit}`}
            points={figures.pairs.map(({ measured, predicted }) => [measured, predicted] as const)}
            ideal={(x) => x}
          />
          <FigureChart
            title="Measured over predicted, by size"
            x="multiply-accumulates, millions"
            y="residual, %"
            points={figures.pairs.map(
              ({ measured, predicted, macs }) => [macs / 1e6, 100 * (measured / predicted - 1)] as const,
            )}
            ideal={() => 0}
          />
          <FigureChart
            title="Reliability of the intervals"
            x="nominal, %"
            y="inside, %"
            points={figures.reliability.map(({ nominal, actual }) => [100 * nominal, 100 * actual] as const)}
            ideal={(x) => x}
            joined
          />
          <FigureChart
            title="Error on networks held back, by how many were learnt from"
            x="networks learnt from"
            y="mean error, %"
            points={figures.learningCurve.map(({ n, mape }) => [n, mape] as const)}
            joined
          />
        </div>
      )}
      {figures.residualsByType.length > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>Operator that leads</th>
                <th class="number">Networks</th>
                <th class="number">Median residual</th>
              </tr>
            </thead>
            <tbody>
              {figures.residualsByType.map(({ type, n, median }) => (
                <tr key={type} data-testid="residual">
                  <td>{type}</td>
                  <td class="number">{n}</td>
                  <td class="number">{logPercent(median).toFixed(1)} %</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
