import '../join.css';
import { render } from 'preact';
import { readAbout } from './about.js';
import { conditions, watchConditions } from './conditions.js';
import { identity, join, type Link, link, measured, refusal, step } from './session.js';
import type { About } from './wire.js';
import { compiled } from './worker-host.js';

const headline: Readonly<Record<Link, string>> = {
  connecting: 'Joining',
  ready: 'Ready',
  working: 'Measuring',
  lost: 'Looking for hilda',
  refused: 'Not let in',
};

function explain(state: Link): string {
  switch (state) {
    case 'connecting':
      return 'A moment.';
    case 'ready':
      return 'Networks will run here as the daemon sends them. Keep this page in front.';
    case 'working':
      return step.value;
    case 'lost':
      return 'The connection broke. It is tried again until it holds.';
    case 'refused':
      return refusal.value?.detail ?? '';
  }
}

function Check({ good, children }: { readonly good: boolean; readonly children: string }) {
  return <li class={good ? 'good' : 'poor'}>{children}</li>;
}

function Conditions({ about }: { readonly about: About }) {
  const { hiddenCount, wakeLock, battery } = conditions.value;
  const isolated = about.secure && about.isolated;
  return (
    <ul class="checks" aria-label="Conditions">
      <Check good={isolated}>
        {isolated ? 'Fine clock, threads allowed' : 'Basic tier: coarse clock, one thread (plain http)'}
      </Check>
      <Check good={about.gpu !== null && !about.gpu.software}>
        {about.gpu
          ? about.gpu.software
            ? 'WebGPU in software: results only, no speed'
            : `WebGPU on ${about.gpu.name}`
          : 'No WebGPU'}
      </Check>
      <Check good={wakeLock}>{wakeLock ? 'Screen kept on' : 'Keep the screen on by hand'}</Check>
      <Check good={hiddenCount === 0}>
        {hiddenCount === 0
          ? 'In front since it joined'
          : `Hidden ${hiddenCount} time${hiddenCount === 1 ? '' : 's'}`}
      </Check>
      {battery && (
        <Check good={battery.charging || battery.level > 0.3}>
          {`Battery ${Math.round(battery.level * 100)} %${battery.charging ? ', charging' : ''}`}
        </Check>
      )}
    </ul>
  );
}

function Page({ about }: { readonly about: About }) {
  const state = link.value;
  return (
    <main class={state}>
      <header>
        <img src="icon.svg" alt="" width="28" height="28" />
        <span>hilda</span>
        {identity.value && <code data-testid="identity">{identity.value}</code>}
      </header>
      <section class="stage" aria-live="polite">
        <div class="pulse" aria-hidden="true">
          <span>{state === 'refused' ? '!' : measured.value}</span>
        </div>
        <h1 data-testid="link">{headline[state]}</h1>
        <p>{explain(state)}</p>
        {state === 'refused' && <p class="hint">{refusal.value?.hint}</p>}
        <p class="count">
          {measured.value === 1 ? '1 network has run here' : `${measured.value} networks have run here`}
        </p>
      </section>
      <section class="card">
        <h2>{about.model}</h2>
        <p>
          {about.browser}, {about.platform || 'unknown system'}, {about.cores} cores
        </p>
        <Conditions about={about} />
      </section>
    </main>
  );
}

// While the page reads its surroundings and joins, the runtime that every device has first comes in.
compiled('wasm').catch(() => {});
watchConditions();
const about = await readAbout();
render(<Page about={about} />, document.getElementById('page') as HTMLElement);
join(about);
