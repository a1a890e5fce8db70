/** From an index into a tensor of shape `to` to the index in one of shape `from` that broadcasts to it. */
export function broadcastIndex(from: readonly number[], to: readonly number[]): (index: number) => number {
  const lead = to.length - from.length;
  let stride = 1;
  const strides = new Array<number>(to.length).fill(0);
  for (let axis = from.length - 1; axis >= 0; axis--) {
    if (from[axis] !== 1) strides[axis + lead] = stride;
    stride *= from[axis] as number;
  }
  if (from.length === to.length && strides.every((_, axis) => from[axis] === to[axis])) return (i) => i;
  return (index) => {
    let rest = index;
    let at = 0;
    for (let axis = to.length - 1; axis >= 0; axis--) {
      const size = to[axis] as number;
      at += (rest % size) * (strides[axis] as number);
      rest = Math.floor(rest / size);
    }
    return at;
  };
}
