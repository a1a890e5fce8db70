import { predictors } from './state.js';

export function PredictorList() {
  return (
    <section aria-labelledby="predictors">
      <h2 id="predictors">Predictors</h2>
      {predictors.value.length === 0 ? (
        <p>
          None yet. Train one: <code>hilda predictor train --device ID --space NAME</code>
        </p>
      ) : (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>Predictor</th>
                <th>Device</th>
                <th>Space</th>
                <th class="number">Networks</th>
                <th>From</th>
              </tr>
            </thead>
            <tbody>
              {predictors.value.map(({ id, deviceId, spaceId, samples, provenance }) => (
                <tr key={id} data-testid="predictor">
                  <td>
                    <a href={`#/predictors/${encodeURIComponent(id)}`}>{id}</a>
                  </td>
                  <td>{deviceId}</td>
                  <td>{spaceId}</td>
                  <td class="number">{samples}</td>
                  <td>{provenance}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
