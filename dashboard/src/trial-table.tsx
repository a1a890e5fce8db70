import { evaluatedText } from '../../daemon/core/comparison-words.js';
import { metricTitle } from '../../daemon/core/metric-title.js';
import { listTrials, order, shownState, trials, trialsTotal } from './study-state.js';
import type { FrontRow, Trial } from './wire.js';

const states: readonly Trial['state'][] = ['asked', 'complete', 'infeasible', 'failed'];

/** A heading that sorts by its column, and the other way round where it did so already. */
function Sorted({ by, title }: { readonly by: string; readonly title: string }) {
  const ascending = order.value === by;
  const descending = order.value === `-${by}`;
  return (
    <th class="number" aria-sort={ascending ? 'ascending' : descending ? 'descending' : 'none'}>
      <button type="button" class="sort" onClick={() => listTrials({ order: ascending ? `-${by}` : by })}>
        {title}
        {ascending ? ' ▲' : descending ? ' ▼' : ''}
      </button>
    </th>
  );
}

/** Some of the trials, in the order that was chosen. */
export function TrialTable({
  axes,
  front,
}: {
  readonly axes: { readonly x: string; readonly y: string } | undefined;
  readonly front: readonly FrontRow[];
}) {
  return (
    <>
      <p class="faint">
        <label>
          State{' '}
          <select
            value={shownState.value ?? ''}
            onChange={({ currentTarget: { value } }) =>
              listTrials({ state: states.find((state) => state === value) })
            }
          >
            <option value="">all</option>
            {states.map((state) => (
              <option key={state} value={state}>
                {state}
              </option>
            ))}
          </select>
        </label>{' '}
        <span data-testid="trials-shown">
          {trials.value.length} of {trialsTotal.value}
        </span>
      </p>
      <div class="scroll">
        <table data-testid="trials">
          <thead>
            <tr>
              <Sorted by="number" title="No." />
              <th>State</th>
              {axes && (
                <>
                  <Sorted by={axes.x} title={metricTitle(axes.x, front)} />
                  <Sorted by={axes.y} title={metricTitle(axes.y, front)} />
                </>
              )}
              <th>Note</th>
            </tr>
          </thead>
          <tbody>
            {trials.value.map(({ number, state, values, evidence, note, reason }) => (
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
    </>
  );
}
