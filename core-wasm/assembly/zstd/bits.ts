// Bit streams that are read backwards, from their last byte to their first (RFC 8878 §4.1). `bits` are counted from the
// stream's start: a stream of `bits` bits still to read has its next bit at bits - 1.

/** How many bits a stream holds before its end mark, the highest set bit of its last byte; -1 when there is no mark. */
export function streamBits(from: usize, to: usize): i32 {
  if (to <= from) return -1
  const last: u32 = load<u8>(to - 1)
  if (!last) return -1
  return (<i32>(to - from) << 3) - <i32>clz(last) + 23
}

/** The next bits, first bit highest; at least 57 are valid, fewer only where the stream ends. */
// @ts-ignore: decorator
@inline
export function window(from: usize, bits: i32): u64 {
  const bytes = (bits + 7) >> 3
  return load<u64>(from + bytes - 8) << (<u64>(-bits) & 7)
}

/** The first `count` bits (0 to 63) of a window, as a number. */
// @ts-ignore: decorator
@inline
export function first(window: u64, count: u64): u64 {
  // Two shifts: WebAssembly takes a count modulo 64, so one shift by 64 would not shift at all.
  return (window >> 1) >> (63 - count)
}
