/** Rows of 1 at the label, with `smoothing` of the weight spread over all classes (Szegedy et al. 2016). */
export function oneHot(labels: Uint8Array, classes: number, smoothing: number): Float32Array {
  const rows = new Float32Array(labels.length * classes).fill(smoothing / classes);
  labels.forEach((label, i) => {
    rows[i * classes + label] = 1 - smoothing + smoothing / classes;
  });
  return rows;
}

/** `hardShare` of the labels, the rest of the teacher's probabilities (Hinton, Vinyals and Dean 2015). */
export function softened(hard: Float32Array, teacher: Float32Array, hardShare: number): Float32Array {
  return hard.map((value, i) => hardShare * value + (1 - hardShare) * (teacher[i] as number));
}

/** Share of rows whose largest entry is at the label. */
export function shareRight(probabilities: Float32Array, labels: Uint8Array): number {
  const classes = probabilities.length / labels.length;
  let right = 0;
  labels.forEach((label, i) => {
    const row = probabilities.subarray(i * classes, (i + 1) * classes);
    if (row.indexOf(Math.max(...row)) === label) right++;
  });
  return right / labels.length;
}
