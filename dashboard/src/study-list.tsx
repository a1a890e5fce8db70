import { formatDate } from './format.js';
import { studies } from './state.js';

export function StudyList() {
  return (
    <section aria-labelledby="studies">
      <h2 id="studies">Studies</h2>
      {studies.value.length === 0 ? (
        <p>
          None yet. Start one: <code>hilda search start SPEC.yaml</code>
        </p>
      ) : (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th>Name</th>
                <th>State</th>
                <th>Started</th>
              </tr>
            </thead>
            <tbody>
              {studies.value.map(({ id, name, state, createdMs }) => (
                <tr key={id} data-testid="study">
                  <td>
                    <a href={`#/studies/${encodeURIComponent(id)}`}>{name}</a>
                  </td>
                  <td>
                    <span class={`chip ${state}`}>{state}</span>
                  </td>
                  <td>{formatDate(createdMs)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
