/** Looks into TOML as it was parsed, where any key may be missing or hold anything. */

/** A TOML table as parsed. */
export type Table = Record<string, unknown>

/** The value as a table; undefined where it is none. */
export function asTable(value: unknown): Table | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
    ? (value as Table)
    : undefined
}

/** The table at a path of keys; undefined where one of them holds no table. */
export function tableAt(root: unknown, ...path: string[]): Table | undefined {
  let current = asTable(root)
  for (const key of path) current = asTable(current?.[key])
  return current
}

/** The string of a key; undefined where it holds none, or an empty one. */
export function stringAt(from: Table | undefined, key: string): string | undefined {
  const value = from?.[key]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** The boolean of a key; undefined where it holds none. */
export function booleanAt(from: Table | undefined, key: string): boolean | undefined {
  const value = from?.[key]
  return typeof value === 'boolean' ? value : undefined
}
