import { evaluatedText } from '../../daemon/core/comparison-words.js';
import { metricTitle } from '../../daemon/core/metric-title.js';
import { formatDuration } from '../../daemon/core/quantities.js';
import { FrontChart } from './front-chart.js';
import { FrontTable } from './front-table.js';
import { axesOf, objectivesOf } from './objectives.js';
import { fronts, summary, trials } from './state.js';
import type { FrontRow, Objective } from './wire.js';

/** How many of the latest trials are listed; the API has them all. */
const shownTrials = 200;

/** One front as chart and table. */
function Front({
  objectives,
  rows,
  device,
}: {
  readonly objectives: readonly Objective[];
  readonly rows: () => readonly FrontRow[];
  readonly device?: string;
}) {
  const axes = axesOf(objectives);
  return (
    <>
      {axes && <FrontChart x={axes.x} y={axes.y} rows={rows} device={device} />}
      <FrontTable rows={rows()} device={device} />
    </>
  );
}

export function StudyView() {
  const study = summary.value;
  if (!study) return <p>Loading…</p>;
  const { record, complete, budgetTrials, frontSize, hypervolume, etaMs, infeasible, failed } = study;
  const done = complete + infeasible + failed;
  const axes = axesOf(objectivesOf(record.spec));
  const { front, devices } = fronts.value;
  return (
    <>
      <section aria-labelledby="study">
        <h2 id="study">
          {record.name}{' '}
          <span class={`chip ${record.state}`} data-testid="study-state">
            {record.state}
          </span>
        </h2>
        {record.reason && <p>{record.reason}</p>}
        <progress max={budgetTrials} value={done} aria-label="Trials done" />
        <dl>
          <div>
            <dt>Trials</dt>
            <dd data-testid="trials-done">
              {done} of {budgetTrials}
            </dd>
          </div>
          <div>
            <dt>Infeasible, failed</dt>
            <dd>
              {infeasible}, {failed}
            </dd>
          </div>
          {study.devices.length > 1 &&
            study.devices.map(({ deviceId, measured, missing }) => (
              <div key={deviceId}>
                <dt>On {deviceId}</dt>
                <dd data-testid={`measured-${deviceId}`}>
                  {measured}
                  {missing > 0 && `, ${missing} missing`}
                </dd>
              </div>
            ))}
          <div>
            <dt>Front</dt>
            <dd>{frontSize}</dd>
          </div>
          <div>
            <dt>Hypervolume</dt>
            <dd>{hypervolume.toFixed(4)}</dd>
          </div>
          <div>
            <dt>Time left</dt>
            <dd>{record.state === 'running' ? formatDuration(etaMs) : '–'}</dd>
          </div>
        </dl>
      </section>
      <section aria-labelledby="front">
        <h2 id="front">Pareto front</h2>
        {devices.length === 0 ? (
          <Front objectives={objectivesOf(record.spec)} rows={() => fronts.value.front} />
        ) : (
          devices.map(({ deviceId, objectives }) => (
            <section key={deviceId} aria-label={deviceId}>
              <h3>{deviceId}</h3>
              <Front
                objectives={objectives}
                rows={() => fronts.value.devices.find((one) => one.deviceId === deviceId)?.front ?? []}
                device={deviceId}
              />
            </section>
          ))
        )}
      </section>
      <section aria-labelledby="trials">
        <h2 id="trials">Trials</h2>
        <div class="scroll">
          <table data-testid="trials">
            <thead>
              <tr>
                <th class="number">No.</th>
                <th>State</th>
                {axes && (
                  <>
                    <th class="number">{metricTitle(axes.x, front)}</th>
                    <th class="number">{metricTitle(axes.y, front)}</th>
                  </>
                )}
                <th>Note</th>
              </tr>
            </thead>
            <tbody>
              {trials.value
                .slice(-shownTrials)
                .reverse()
                .map(({ number, state, values, evidence, note, reason }) => (
                  <tr key={number}>
                    <td class="number">{number}</td>
                    <td>{state}</td>
                    {axes && (
                      <>
                        <td class="number">{evaluatedText(axes.x, values, evidence)}</td>
                        <td class="number">{evaluatedText(axes.y, values, evidence)}</td>
                      </>
                    )}
                    <td>{reason ?? note}</td>
                  </tr>
                ))}
            </tbody>
          </table>
        </div>
      </section>
    </>
  );
}
