/** Changes to an input, each with what it stands for. `next` gives numbers below 2 ** 32. */
export function mutate(data: Uint8Array, other: Uint8Array, next: () => number): Uint8Array {
  let mutated: Uint8Array = new Uint8Array(data)
  // Mostly one change, so that what comes before and after it still means something.
  for (let changes = 1 + (next() % 4 === 0 ? next() % 4 : 0); changes > 0; changes--)
    mutated = change(mutated, other, next)
  return mutated
}

function change(data: Uint8Array, other: Uint8Array, next: () => number): Uint8Array {
  if (data.length === 0) return new Uint8Array(other)
  const at = next() % data.length
  switch (next() % 12) {
    case 0:
    case 1:
    case 2:
    case 3: // one bit
      data[at] = (data[at] ?? 0) ^ (1 << (next() % 8))
      return data
    case 4:
    case 5: // one byte
      data[at] = next()
      return data
    case 6: // the extremes that lengths and offsets are tried with
      data.fill([0, 255, 127, 128][next() % 4] ?? 0, at, at + 1 + (next() % 4))
      return data
    case 7: // the end is missing
      return data.subarray(0, at)
    case 8: // bytes are missing
      return join(data.subarray(0, at), data.subarray(at + 1 + (next() % 8)))
    case 9: // bytes are there twice
      return join(data.subarray(0, at + (next() % 16)), data.subarray(at))
    case 10: // another input's end
      return join(data.subarray(0, at), other.subarray(next() % (other.length + 1)))
    default: // bits among the first bytes, where headers are
      data[at % 24] = (data[at % 24] ?? 0) ^ (1 << (next() % 8))
      return data
  }
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const whole = new Uint8Array(a.length + b.length)
  whole.set(a)
  whole.set(b, a.length)
  return whole
}
