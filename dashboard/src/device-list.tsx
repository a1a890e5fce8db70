import { PairPanel } from './pair-panel.js';
import { devices } from './state.js';

export function DeviceList() {
  return (
    <section aria-labelledby="devices">
      <h2 id="devices">Devices</h2>
      {devices.value.length === 0 && <p>No device was seen yet.</p>}
      <ul class="cards">
        {devices.value.map(({ id, label, state, reason, present, obstacle, tags, lease, target }) => (
          <li key={id} data-testid="device" class={present ? '' : 'away'}>
            <strong>{id}</strong>{' '}
            <span class={`chip ${lease ? 'busy' : state}`}>{lease ? 'in use' : state}</span>
            {!present && <span class="chip">away</span>}
            <p>{label}</p>
            {obstacle && <p class="failure">{obstacle}</p>}
            {reason && <p class="failure">{reason}</p>}
            <p class="faint">
              {target.runtime} {target.runtimeVersion}, {target.provider}, {target.threads} thread
              {target.threads === 1 ? '' : 's'}
              {target.tier !== 'host' && <>, {target.tier}</>}
              {lease && <>; held by {lease.holder}</>}
              {tags.length > 0 && <>; {tags.join(', ')}</>}
            </p>
          </li>
        ))}
      </ul>
      <PairPanel />
    </section>
  );
}
