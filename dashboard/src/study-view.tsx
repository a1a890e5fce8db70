import { formatDuration } from '../../daemon/core/quantities.js';
import { FrontChart } from './front-chart.js';
import { FrontTable } from './front-table.js';
import { axesOf, objectivesOf } from './objectives.js';
import { fronts, summary } from './study-state.js';
import { TrialTable } from './trial-table.js';
import type { FrontRow, Objective } from './wire.js';

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
        <TrialTable axes={axes} front={front} />
      </section>
    </>
  );
}
