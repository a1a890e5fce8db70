import { useState } from 'preact/hooks';
import { renderSVG } from 'uqr';
import { invite } from './api.js';
import type { Invitation } from './wire.js';

/** A way in for one phone: its camera reads the code, the page behind it does the rest. */
export function PairPanel() {
  const [invitation, setInvitation] = useState<Invitation | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const ask = (): void => {
    setFailure(null);
    invite('page').then(setInvitation, (error: unknown) => setFailure(String(error)));
  };
  if (!invitation)
    return (
      <p>
        <button type="button" data-testid="pair" onClick={ask}>
          Add a phone or browser
        </button>
        {failure && <span class="failure">{failure}</span>}
      </p>
    );
  const [best] = invitation.addresses;
  return (
    <section class="pair" aria-labelledby="pair">
      <h3 id="pair">Scan to join</h3>
      {best && (
        <img
          alt="The address below as a QR code"
          width="220"
          height="220"
          src={`data:image/svg+xml,${encodeURIComponent(renderSVG(best.url, { border: 2 }))}`}
        />
      )}
      <ul>
        {invitation.addresses.map(({ url, note }) => (
          <li key={url}>
            <a href={url}>{url}</a>
            <span class="faint"> {note}</span>
          </li>
        ))}
      </ul>
      <p class="faint">
        For one phone, until {new Date(invitation.expiresMs).toLocaleTimeString()}. It appears above when it
        has joined.
      </p>
      <button type="button" onClick={() => setInvitation(null)}>
        Done
      </button>
    </section>
  );
}
