/** What a zstd stream makes use of: kinds of frames, blocks, literals and sequence codes (RFC 8878 §3.1.1). */
export function anatomy(data: Uint8Array): Set<string> {
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  const seen = new Set<string>()
  let at = 0
  while (at < data.length) {
    const magic = view.getUint32(at, true)
    if (magic !== 0xfd2fb528) {
      seen.add('skippable frame')
      at += 8 + view.getUint32(at + 4, true)
      continue
    }
    const descriptor = data[at + 4] ?? 0
    const single = (descriptor >> 5) & 1
    const sizeFlag = descriptor >> 6
    const checksum = descriptor & 4
    seen.add(checksum ? 'checksum' : 'no checksum').add(single ? 'single segment' : 'window')
    at += 5 + (1 - single) + [0, 1, 2, 4][descriptor & 3]! + (sizeFlag ? 1 << sizeFlag : single)
    for (let last = false; !last;) {
      const header = (data[at] ?? 0) | ((data[at + 1] ?? 0) << 8) | ((data[at + 2] ?? 0) << 16)
      last = (header & 1) === 1
      const type = (header >> 1) & 3
      const size = type === 1 ? 1 : header >> 3
      seen.add(`block ${['raw', 'repeated', 'compressed'][type]}`)
      if (type === 2) block(data.subarray(at + 3, at + 3 + size), seen)
      at += 3 + size
    }
    if (checksum) at += 4
  }
  return seen
}

function block(data: Uint8Array, seen: Set<string>): void {
  const first = data[0] ?? 0
  const type = first & 3
  const format = (first >> 2) & 3
  const word = (from: number, count: number): number =>
    Array.from({ length: count }, (_, i) => (data[from + i] ?? 0) * 256 ** i).reduce((sum, part) => sum + part, 0)
  let at: number
  if (type < 2) {
    const header = format === 1 ? 2 : format === 3 ? 3 : 1
    const size = format === 1 ? word(0, 2) >> 4 : format === 3 ? word(0, 3) >> 4 : first >> 3
    at = header + (type === 0 ? size : 1)
    seen.add(`literals ${type === 0 ? 'raw' : 'repeated'}`)
  } else {
    const header = format < 2 ? 3 : format + 2
    const width = format < 2 ? 10 : format === 2 ? 14 : 18
    at = header + (Math.floor(word(0, header) / 2 ** (4 + width)) % 2 ** width)
    seen.add(`literals ${type === 2 ? 'compressed' : 'treeless'}, ${format === 0 ? 'one stream' : 'four streams'}`)
    if (type === 2) seen.add(`weights ${(data[header] ?? 0) >= 128 ? 'direct' : 'compressed'}`)
  }
  const count = data[at] ?? 0
  if (count === 0) {
    seen.add('no sequences')
    return
  }
  const modes = data[at + (count < 128 ? 1 : count < 255 ? 2 : 3)] ?? 0
  for (const [code, shift] of [
    ['lengths', 6],
    ['offsets', 4],
    ['matches', 2],
  ] as const) {
    seen.add(`${code} ${['predefined', 'repeated', 'coded', 'kept'][(modes >> shift) & 3]}`)
  }
}
