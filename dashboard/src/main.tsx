import 'uplot/dist/uPlot.min.css';
import './main.css';
import './matrix.css';
import { render } from 'preact';
import { DeviceList } from './device-list.js';
import { connection } from './events.js';
import { failure } from './loading.js';
import { PredictorList } from './predictor-list.js';
import { PredictorView } from './predictor-view.js';
import { SpecialisationList } from './specialisation-list.js';
import { specialisationId } from './specialisation-state.js';
import { SpecialisationView } from './specialisation-view.js';
import { predictorId, startState } from './state.js';
import { StudyList } from './study-list.js';
import { studyId } from './study-state.js';
import { StudyView } from './study-view.js';

const connectionText = {
  connecting: 'connecting',
  live: 'live',
  lost: 'connection lost, trying again',
} as const;

function Page() {
  return (
    <>
      <header>
        <h1>
          <a href="#/">hilda</a>
        </h1>
        <p class={`chip ${connection.value}`} role="status" data-testid="connection">
          {connectionText[connection.value]}
        </p>
      </header>
      {failure.value && (
        <p class="failure" role="alert">
          {failure.value}
        </p>
      )}
      <main id="main" tabIndex={-1}>
        {studyId.value !== undefined ? (
          <StudyView />
        ) : predictorId.value !== undefined ? (
          <PredictorView />
        ) : specialisationId.value !== undefined ? (
          <SpecialisationView />
        ) : (
          <>
            <DeviceList />
            <StudyList />
            <SpecialisationList />
            <PredictorList />
          </>
        )}
      </main>
    </>
  );
}

startState();
render(<Page />, document.getElementById('page') as HTMLElement);
// The link that was followed is gone with its view: the keyboard goes on from the top of the new one.
addEventListener('hashchange', () => document.getElementById('main')?.focus());
