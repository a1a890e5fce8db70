import { formatMetric } from '../../daemon/core/quantities.js';
import { formatDate } from './format.js';
import { MatrixByDevice } from './matrix-by-device.js';
import { MatrixTable } from './matrix-table.js';
import { isNarrow } from './narrow.js';
import { specialisation } from './specialisation-state.js';
import type { StudySummary } from './wire.js';

/** One search a device, and what the winner for each costs on every device. */
export function SpecialisationView() {
  const opened = specialisation.value;
  if (!opened) return <p>Loading…</p>;
  const { detail, studies } = opened;
  const {
    id,
    name,
    state,
    reason,
    createdMs,
    slack,
    finalists,
    protocol,
    level,
    distinctFinalists,
    columns,
  } = detail;
  return (
    <>
      <section aria-labelledby="specialisation">
        <h2 id="specialisation">
          {name}{' '}
          <span class={`chip ${state}`} data-testid="specialisation-state">
            {state}
          </span>
        </h2>
        {reason && <p class={state === 'failed' ? 'failure' : ''}>{reason}</p>}
        {(state === 'paused' || state === 'failed') && (
          <p>
            It goes on where it stood: <code>hilda search specialise --resume {id}</code>
          </p>
        )}
        <dl>
          <div>
            <dt>Started</dt>
            <dd>{formatDate(createdMs)}</dd>
          </div>
          <div>
            <dt>Equal accuracy</dt>
            <dd>{level === null ? 'after the searches' : `from ${formatMetric('accuracy', level)}`}</dd>
          </div>
          <div>
            <dt>Given up for speed</dt>
            <dd>{formatMetric('accuracy', slack)}</dd>
          </div>
          <div>
            <dt>Finalists</dt>
            <dd>
              {distinctFinalists === null ? '' : `${distinctFinalists}, `}at most {finalists} of each search
            </dd>
          </div>
          <div>
            <dt>Finalists’ protocol</dt>
            <dd>{protocol ?? 'as searched'}</dd>
          </div>
        </dl>
      </section>
      <section aria-labelledby="matrix">
        <h2 id="matrix">Matrix</h2>
        {level === null ? (
          <p>All searches come first. Then the best of each are measured on every device.</p>
        ) : isNarrow.value ? (
          <MatrixByDevice of={detail} />
        ) : (
          <MatrixTable of={detail} />
        )}
      </section>
      <section aria-labelledby="parts">
        <h2 id="parts">Its studies</h2>
        <ul class="cards">
          {columns.map(({ deviceId, search, finals }) => (
            <li key={deviceId} data-testid="part">
              <strong>{deviceId}</strong>
              <Part title="Search" id={search} study={search === null ? undefined : studies[search]} />
              <Part title="Finals" id={finals} study={finals === null ? undefined : studies[finals]} />
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}

function Part({
  title,
  id,
  study,
}: {
  readonly title: string;
  readonly id: string | null;
  readonly study: StudySummary | undefined;
}) {
  if (id === null || !study) return <p class="faint">{title}: not started</p>;
  const { record, budgetTrials, complete, infeasible, failed } = study;
  const done = complete + infeasible + failed;
  return (
    <>
      <p>
        {title}: <a href={`#/studies/${encodeURIComponent(id)}`}>{id}</a>{' '}
        <span class={`chip ${record.state}`}>{record.state}</span>{' '}
        <span class="faint">
          {done} of {budgetTrials}
        </span>
      </p>
      <progress max={budgetTrials} value={done} aria-label={`${title} on ${record.name}: trials done`} />
    </>
  );
}
