/** A TOML table as parsed. */
export type Table = Record<string, unknown>

/** The value as a table; undefined where it is none. */
export function table(value: unknown): Table | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
    ? (value as Table)
    : undefined
}

/** The table at a path of keys; undefined where any of them is no table. */
export function tableAt(root: unknown, ...path: string[]): Table | undefined {
  let current = table(root)
  for (const key of path) current = table(current?.[key])
  return current
}

export function stringAt(from: Table | undefined, key: string): string | undefined {
  const value = from?.[key]
  return typeof value === 'string' && value !== '' ? value : undefined
}

export function booleanAt(from: Table | undefined, key: string): boolean | undefined {
  const value = from?.[key]
  return typeof value === 'boolean' ? value : undefined
}

function uniqueStrings(...lists: unknown[]): string[] {
  return [...new Set(lists.flat().filter((item): item is string => typeof item === 'string'))]
}

/** containerd 2's merge of plugin tables: by key all the way down, scalars and non-empty lists of the later file win. */
function mergeDeep(to: Table, from: Table): void {
  for (const [key, value] of Object.entries(from)) {
    const source = table(value)
    const target = table(to[key])
    if (source && target) mergeDeep(target, source)
    else if (Array.isArray(value) && value.length === 0 && to[key] !== undefined) continue
    else to[key] = structuredClone(value)
  }
}

/**
 * Merges a later file into an earlier one as containerd's server configuration does. containerd 1 replaces a plugin's whole section,
 * containerd 2 merges it key by key; a proxy plugin is replaced whole by both.
 */
export function mergeConfig(to: Table, from: Table, daemonMajor: number): void {
  const plugins = tableAt(to, 'plugins') ?? {}
  const added = tableAt(from, 'plugins') ?? {}
  if (daemonMajor >= 2) mergeDeep(plugins, added)
  else Object.assign(plugins, structuredClone(added))
  const lists = { disabled: uniqueStrings(to['disabled_plugins'] ?? [], from['disabled_plugins'] ?? []) }
  const proxies = { ...tableAt(to, 'proxy_plugins'), ...structuredClone(tableAt(from, 'proxy_plugins') ?? {}) }
  for (const [key, value] of Object.entries(from)) {
    const isZero = value === '' || value === 0 || value === false
    if (key !== 'version' && !(isZero && key in to)) to[key] = structuredClone(value)
  }
  to['plugins'] = plugins
  to['proxy_plugins'] = proxies
  to['disabled_plugins'] = lists.disabled
}
