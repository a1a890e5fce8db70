import { formatDate } from './format.js';
import { specialisations } from './specialisation-state.js';

export function SpecialisationList() {
  return (
    <section aria-labelledby="specialisations">
      <h2 id="specialisations">Specialisations</h2>
      {specialisations.value.length === 0 && (
        <p>
          None yet. One search a device: <code>hilda search specialise SPEC.yaml</code>
        </p>
      )}
      <ul class="cards">
        {specialisations.value.map(({ id, name, state, createdMs, columns }) => (
          <li key={id} data-testid="specialisation">
            <a href={`#/specialisations/${encodeURIComponent(id)}`}>{name}</a>{' '}
            <span class={`chip ${state}`}>{state}</span>
            <p>{columns.map(({ deviceId }) => deviceId).join(', ')}</p>
            <p class="faint">{formatDate(createdMs)}</p>
          </li>
        ))}
      </ul>
    </section>
  );
}
