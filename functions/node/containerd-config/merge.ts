/** Puts containerd's configuration files together as the daemon does (containerd/FACTS.md section 8). */
import { asTable, tableAt, type Table } from './table.ts'

function uniqueStrings(...lists: unknown[]): string[] {
  return [...new Set(lists.flat().filter((item): item is string => typeof item === 'string'))]
}

/** Merges plugin tables as containerd 2 does: key by key at every depth; scalars and lists of the later file win, but for empty lists. */
function mergeDeep(to: Table, from: Table): void {
  for (const [key, value] of Object.entries(from)) {
    const source = asTable(value)
    const target = asTable(to[key])
    if (source && target) mergeDeep(target, source)
    else if (Array.isArray(value) && value.length === 0 && to[key] !== undefined) continue
    else to[key] = structuredClone(value)
  }
}

/**
 * Merges a later file (`from`) into what the earlier ones came to (`to`), which it changes. containerd 1 replaces a plugin's whole
 * section, containerd 2 merges it key by key; both replace a proxy plugin whole.
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
