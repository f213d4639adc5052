// Random choices that a seed repeats.
export function random(seed) {
  let state = seed | 0;
  const below = (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
  const one = (list) => list[below(list.length)];
  const several = (make, n = 4) => Array.from({ length: 1 + below(n) }, make);
  return { below, one, several };
}

// The smallest program, by leaving out steps one after the other, of which `fails` is true.
export async function minimise(program, fails, triesMax = 150) {
  let smallest = program;
  let tries = 0;
  for (let at = smallest.length - 1; at >= 0 && tries < triesMax; at--) {
    const smaller = smallest.filter((_, i) => i !== at);
    tries++;
    if (await fails(smaller)) smallest = smaller;
  }
  return smallest;
}
