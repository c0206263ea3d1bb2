/** Loads containerd's configuration: the main file and all that it imports, merged by the daemon's rules (containerd/FACTS.md section 8). */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join, normalize } from 'node:path'
import { parse, TomlError } from 'smol-toml'
import { LayercastError } from '../../errors.ts'
import { isAtLeast, type DaemonVersion } from '../daemon-version.ts'
import { mergeConfig } from './merge.ts'
import { migrateNames, migrateToV3, OLD_CRI } from './migrate.ts'
import { tableAt, type Table } from './table.ts'

/** Where containerd looks without `--config`. */
export const DEFAULT_CONFIG_PATH = '/etc/containerd/config.toml'

/** One file that was read. */
export interface ConfigFile {
  path: string
  /** The `version` that it states; 1 where it states none. */
  version: number
  /** Keys of CRI's `containerd` table that containerd 2 loses as it migrates this file. */
  lost: string[]
  /** Plugins whose section this file replaced whole, as containerd 1 does; sorted. */
  replaced: string[]
  /** Names of CRI sections that have no effect in a file of this version. */
  passedOver: string[]
}

/** A file that another one imports by its name and that does not exist: the daemon would not start again. */
export interface MissingImport {
  path: string
  importedBy: string
}

export interface LoadedConfig {
  files: ConfigFile[]
  missingImports: MissingImport[]
  /** The version that containerd 1 takes for that of all files: the last one stated, and 1 where no file states one. */
  version: number
  /** Reasons why the daemon would not start from these files again, as far as names of plugins tell. */
  refusals: string[]
  /** All files merged, in the daemon's order and by the daemon's rules. */
  merged: Table
}

function readToml(path: string): Table {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new LayercastError('FILE_NOT_FOUND', `cannot read containerd's configuration ${path}`, {
      cause,
      fix: 'Name the file that the daemon was started with by --containerd-config.',
      detail: { path },
    })
  }
  try {
    return parse(text) as Table
  } catch (cause) {
    const where = cause instanceof TomlError ? ` at line ${cause.line}, column ${cause.column}` : ''
    throw new LayercastError('NODE_CONFIG_INVALID', `${path} is not valid TOML${where}`, {
      cause,
      fix: 'Mend the file; containerd would not start from it either.',
      detail: { path },
    })
  }
}

function resolveImports(parent: string, imports: unknown, daemon: DaemonVersion): string[] {
  if (!Array.isArray(imports)) return []
  return imports
    .filter((item): item is string => typeof item === 'string')
    .flatMap((item) => {
      const glob = item.includes('*')
      // containerd 1.6 resolves a relative pattern against the daemon's working directory, which is / under systemd.
      const base = glob && !isAtLeast(daemon, '1.7') ? '/' : dirname(parent)
      const path = isAbsolute(item) ? normalize(item) : join(base, item)
      return glob ? globSync(path).toSorted() : [path]
    })
}

/**
 * The version that containerd 2.0 to 2.2 takes for that of all files: the last one stated that is not 1. Where there is
 * none, it is 3.
 */
export function wholeVersion(files: readonly Pick<ConfigFile, 'version'>[]): number {
  return files.findLast(({ version }) => version >= 2)?.version ?? 3
}

/** How a daemon puts files together, by its version. */
interface Rules {
  /** The daemon's major version. */
  major: number
  /** What the daemon migrates to version 3: `nothing` (1.x), the merged files as a `whole` (2.0 to 2.2), or each of the `files` (2.3 and later). */
  migrates: 'nothing' | 'whole' | 'files'
}

function rulesOf(daemon: DaemonVersion): Rules {
  const { major } = daemon
  return { major, migrates: major < 2 ? 'nothing' : isAtLeast(daemon, '2.3') ? 'files' : 'whole' }
}

/**
 * Loads containerd's configuration: the main file and all that it imports, breadth first, each file once; later files win.
 * @param path the main file
 * @param daemon the version of the daemon whose rules apply
 * @throws FILE_NOT_FOUND for the main file, NODE_CONFIG_INVALID
 */
export function loadConfigFiles(path: string, daemon: DaemonVersion): LoadedConfig {
  const rules = rulesOf(daemon)
  const loaded: LoadedConfig = {
    files: [],
    missingImports: [],
    version: 1,
    refusals: [],
    merged: { plugins: {}, proxy_plugins: {} },
  }
  const seen = new Set<string>()
  const pending = [{ path, importedBy: '' }]
  for (let item = pending.shift(); item !== undefined; item = pending.shift()) {
    const next = item.path
    if (seen.has(next)) continue
    seen.add(next)
    if (item.importedBy !== '' && !existsSync(next)) {
      loaded.missingImports.push(item)
      continue
    }
    const config = readToml(next)
    if (rules.major >= 2) loaded.refusals.push(...refusedNames(config, next))
    loaded.files.push(takeIn(loaded.merged, config, next, rules))
    loaded.version = statedVersion(config) || loaded.version
    const imports = resolveImports(next, config['imports'], daemon)
    pending.push(...imports.map((imported) => ({ path: imported, importedBy: next })))
  }
  if (rules.migrates === 'whole') migrateWhole(loaded)
  if (rules.major < 2) {
    if (loaded.version > 1) loaded.refusals.push(...refusedSections(loaded.merged, path))
    // In a version 1 file a plugin's full name has no effect; in later versions its short name is refused.
    for (const file of loaded.files) {
      file.passedOver = loaded.version === 1 ? file.passedOver.filter((id) => id === OLD_CRI) : []
    }
  }
  return loaded
}

/** The version that a file states; 0 where it states none. */
function statedVersion(config: Table): number {
  const stated = Number(config['version'] ?? 0)
  return Number.isSafeInteger(stated) && stated > 0 ? stated : 0
}

const PLUGIN_LISTS = ['disabled_plugins', 'required_plugins'] as const

function namesIn(config: Table, key: (typeof PLUGIN_LISTS)[number]): string[] {
  const list = config[key]
  return Array.isArray(list) ? list.filter((item): item is string => typeof item === 'string') : []
}

/** What containerd 2 refuses: short names in the plugin lists of a file that is not of version 1. */
function refusedNames(config: Table, path: string): string[] {
  if (statedVersion(config) < 2) return []
  return PLUGIN_LISTS.flatMap((key) =>
    namesIn(config, key)
      .filter((id) => !id.includes('.'))
      .map((id) => `${path} has "${id}" in ${key}, which is no plugin's full name`),
  )
}

/** Whether containerd 1 accepts this as a plugin's full name. */
function isFullName(id: string): boolean {
  return id.startsWith('io.containerd.') && id.split('.').length >= 4
}

/** What containerd 1 refuses: every plugin name that is not a full one, once the files are not of version 1. */
function refusedSections(merged: Table, path: string): string[] {
  const listed = PLUGIN_LISTS.flatMap((key) =>
    namesIn(merged, key)
      .filter((id) => !isFullName(id))
      .map((id) => `${path} has "${id}" in ${key}`),
  )
  const sections = Object.keys(tableAt(merged, 'plugins') ?? {}).filter((id) => !isFullName(id))
  return [...listed, ...sections.map((id) => `${path} has a section [plugins.${id}]`)].map(
    (what) => `${what}, which is no plugin's full name`,
  )
}

function takeIn(merged: Table, config: Table, path: string, { major, migrates }: Rules): ConfigFile {
  const version = statedVersion(config) || 1
  const passedOver = criNames(config).filter((id) => !counts(id, version, major))
  if (migrates !== 'nothing' && version < 2) migrateNames(tableAt(config, 'plugins') ?? {})
  const lost = migrates === 'files' && version < 3 ? migrateToV3(config) : []
  const earlier = tableAt(merged, 'plugins') ?? {}
  const replaced = major >= 2 ? [] : Object.keys(tableAt(config, 'plugins') ?? {}).filter((id) => id in earlier)
  mergeConfig(merged, config, major)
  return { path, version, lost, replaced: replaced.toSorted(), passedOver }
}

/** The names of before version 3 under which a file has settings of CRI's images and runtimes. */
function criNames(config: Table): string[] {
  const plugins = tableAt(config, 'plugins')
  const settings = ['containerd', 'sandbox_image']
  return ['cri', OLD_CRI].filter((id) => settings.some((key) => tableAt(plugins, id)?.[key] !== undefined))
}

/** Whether CRI's section of this name has an effect in a file of this version. For containerd 1 all files decide, not one. */
function counts(id: string, version: number, major: number): boolean {
  if (major < 2) return false
  return id === 'cri' ? version < 2 : version < 3
}

function migrateWhole({ files, merged }: LoadedConfig): void {
  const last = files.at(-1)
  if (last === undefined || wholeVersion(files) !== 2) return
  // After the merge it is not known which file stated what is lost. The fix is the same for all of them.
  last.lost.push(...migrateToV3(merged))
}
