import { devices } from './state.js';

export function DeviceList() {
  return (
    <section aria-labelledby="devices">
      <h2 id="devices">Devices</h2>
      {devices.value.length === 0 && <p>No device was seen yet.</p>}
      <ul class="cards">
        {devices.value.map(({ id, label, state, lease, target }) => (
          <li key={id} data-testid="device">
            <strong>{id}</strong>{' '}
            <span class={`chip ${lease ? 'busy' : state}`}>{lease ? 'in use' : state}</span>
            <p>{label}</p>
            <p class="faint">
              {target.runtime} {target.runtimeVersion}, {target.provider}, {target.threads} thread
              {target.threads === 1 ? '' : 's'}
              {lease && <>; held by {lease.holder}</>}
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
