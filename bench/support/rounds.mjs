// Timing that a noisy machine does not bend: rounds are interleaved, so every contestant meets the same noise, and
// what counts is the median of the ratios taken round by round.

/** The middle value; of an even number of values, the mean of the two in the middle. */
export const median = (values) => quantile(values, 0.5)

/** The value below which the share `q` of all values lies, interpolated. */
export const quantile = (values, q) => {
  const sorted = Float64Array.from(values).sort()
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  const high = Math.ceil(at)
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low)
}

/**
 * Runs every contestant once a round, in an order that turns by one place each round, and gives the measured values.
 * A contestant is `{ name, run }`; `run` answers the figure of one round (say, nanoseconds an operation).
 */
export const interleave = async (contestants, { rounds, warmUp = 1 }) => {
  const values = new Map(contestants.map(({ name }) => [name, []]))
  for (let round = -warmUp; round < rounds; round++) {
    for (let i = 0; i < contestants.length; i++) {
      const { name, run } = contestants[(i + round + warmUp) % contestants.length]
      globalThis.gc?.()
      const value = await run()
      if (round >= 0) values.get(name).push(value)
    }
  }
  return values
}

/** The median of the ratios of two contestants, taken round by round. */
export const ratio = (values, name, base) => {
  const bases = values.get(base)
  return median(values.get(name).map((value, round) => value / bases[round]))
}

/** Nanoseconds an operation: `loop(n)` performs `n` of them, and may be asynchronous. */
export const nanosecondsEach = (n, loop) => async () => {
  const start = process.hrtime.bigint()
  await loop(n)
  return Number(process.hrtime.bigint() - start) / n
}

/** A pause that leaves the event loop free. */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
