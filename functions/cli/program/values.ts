/** Values of options that are more than text. Each throws USAGE, which names the option, where the text is not such a value. */

import { usage } from './usage.ts'

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** In seconds, from a time such as `90s`, `30m`, `12h`, `7d`. */
export function seconds(flag: string, text: string): number {
  const [, number = '', unit = ''] = /^([1-9]\d{0,8})([smhd])$/u.exec(text) ?? []
  const factor = UNITS[unit]
  if (factor === undefined) throw notSuch(flag, text, 'Write a number and a unit: 90s, 30m, 12h, 7d.')
  return Number(number) * factor
}

/** A whole number from 1 on. */
export function wholeNumber(flag: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/u.test(text)) throw notSuch(flag, text, 'Write a whole number from 1 on.')
  return Number(text)
}

/** A TCP port; 0 for any that is free. */
export function port(flag: string, text: string): number {
  const number = /^\d{1,5}$/u.test(text) ? Number(text) : Number.NaN
  if (!(number <= 65_535)) throw notSuch(flag, text, 'Write a port from 1 to 65535, or 0 for any that is free.')
  return number
}

/** Texts `key=value` as one record. */
export function keyValues(flag: string, texts: readonly string[]): Record<string, string> {
  const pairs = new Map<string, string>()
  for (const text of texts) {
    const at = text.indexOf('=')
    if (at < 1) throw notSuch(flag, text, 'Write key=value.')
    const key = text.slice(0, at)
    if (pairs.has(key)) throw notSuch(flag, text, `Give ${key} once.`)
    pairs.set(key, text.slice(at + 1))
  }
  return Object.fromEntries(pairs)
}

function notSuch(flag: string, text: string, fix: string) {
  return usage(`${flag} cannot be '${text}'`, fix)
}
