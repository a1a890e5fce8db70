import { signal } from '@preact/signals';

/** As wide as a phone held upright: a matrix is read device by device there. */
const query = matchMedia('(max-width: 45rem)');

export const isNarrow = signal(query.matches);
query.addEventListener('change', ({ matches }) => {
  isNarrow.value = matches;
});
