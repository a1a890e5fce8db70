import { formatDate } from './format.js';
import { specialisations } from './specialisation-state.js';

export function SpecialisationList() {
  return (
    <section aria-labelledby="specialisations">
      <h2 id="specialisations">Specialisations</h2>
      {specialisations.value.length === 0 ? (
        <p>
          None yet. One search a device: <code>hilda search specialise SPEC.yaml</code>
        </p>
      ) : (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>Name</th>
                <th>State</th>
                <th>Started</th>
                <th>Devices</th>
              </tr>
            </thead>
            <tbody>
              {specialisations.value.map(({ id, name, state, createdMs, columns }) => (
                <tr key={id} data-testid="specialisation">
                  <td>
                    <a href={`#/specialisations/${encodeURIComponent(id)}`}>{name}</a>
                  </td>
                  <td>
                    <span class={`chip ${state}`}>{state}</span>
                  </td>
                  <td>{formatDate(createdMs)}</td>
                  <td>{columns.map(({ deviceId }) => deviceId).join(', ')}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
