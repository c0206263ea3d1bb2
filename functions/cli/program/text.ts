/** Sizes, times, digests and labels as tables show them. JSON has the exact values. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** A size in bytes as a person reads it: `0 B`, `1.5 KiB`, `135 MiB`. */
export function bytes(exact: number): string {
  let value = exact
  let unit = 0
  while (value >= 1023.5 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1
  return `${value.toFixed(digits)} ${UNITS[unit]}`
}

/** A time as a person reads it, from milliseconds: `3 ms`, `1.4 s`, `2 m 05 s`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1) return '<1 ms'
  if (milliseconds < 999.5) return `${milliseconds.toFixed(0)} ms`
  if (milliseconds < 59_950) return `${(milliseconds / 1000).toFixed(1)} s`
  const seconds = Math.round(milliseconds / 1000)
  return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, '0')} s`
}

/** How long ago, in the largest unit that fits: `5 s`, `3 m`, `2 h`, `9 d`. */
export function age(since: Date, now: Date = new Date()): string {
  const seconds = Math.max(0, Math.round((now.getTime() - since.getTime()) / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** The first twelve digits of a digest; `-` for none. */
export function shortDigest(digest: string): string {
  return digest === '' ? '-' : digest.slice(digest.indexOf(':') + 1).slice(0, 12)
}

/** A label's key without containerd's prefix. */
export function shortLabel(key: string): string {
  return key.replace(/^containerd\.io\/snapshot\//u, '').replace(/^containerd\.io\//u, '')
}

/** `1 layer`, `2 layers`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** Text from outside, safe for a terminal: control and direction characters become visible escapes. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what must not reach the terminal
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0
    return `\\u${code.toString(16).padStart(4, '0')}`
  })
}

/** A word of a shell command that the user can copy: in double quotes where it needs them. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `"${word.replace(/["$`\\]/g, '\\$&')}"`
}

/** How many layers are lazy; undefined under a snapshotter that has no lazy layers. */
export function lazyText(lazy: { layers: number; of: number } | undefined): string | undefined {
  if (lazy === undefined) return undefined
  return `${lazy.layers} of ${count(lazy.of, 'layer')}${lazy.layers < lazy.of ? ', the rest unpacked on this node' : ''}`
}

/** Labels as `key=value`, comma-joined. */
export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
}
