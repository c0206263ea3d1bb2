/** Which snapshotters runtime handlers use, by containerd's configuration (containerd/FACTS.md section 8). */
import { LayercastError } from '../../errors.ts'
import type { RuntimeHandler } from '../../node/containerd-config/config.ts'
import { readRunningConfig, type RunningConfig } from '../../node/containerd-config/running-config.ts'
import { snapshotterFault } from '../../node/containerd/snapshotter-fault.ts'
import { daemonOf } from '../../node/daemon.ts'
import type { Backend, SnapshotterPlugin } from '../../node/ports.ts'
import type { PlanWarning } from '../../plan/document.ts'
import { annotationsOffAdvice, handlerIgnoredAdvice } from '../doctor/advice.ts'
import { readsCriLabels, type Finding } from '../doctor/finding.ts'

/** A snapshotter, and the runtime handlers that use it. */
export interface RuntimeHandlerTarget {
  snapshotter: string
  /** Sorted. */
  handlers: string[]
  /** OS features that the snapshotter advertises: images made for them are preferred. */
  osFeatures: readonly string[]
  /** What is wrong with the configuration for these handlers. */
  warnings: PlanWarning[]
  /** Why nothing can be made ready under it: SNAPSHOTTER_NOT_FOUND, SNAPSHOTTER_NOT_READY. */
  error?: LayercastError
}

/**
 * The snapshotters of these runtime handlers, or of all, each once and sorted: those that CreateContainer uses by the configuration
 * that the daemon runs from.
 * @param options.handlers an empty name means the default handler
 * @param options.configPath the daemon's configuration; found as `readRunningConfig` does where it is left out
 * @throws HANDLER_NOT_FOUND; FILE_NOT_FOUND also for an import that is missing, since handlers may stand in it;
 *   NODE_CONFIG_INVALID; CONTAINERD_UNREACHABLE
 */
export async function resolveRuntimeHandlers(
  backend: Backend,
  options: { handlers: readonly string[] | 'all'; configPath?: string | undefined },
): Promise<{ targets: RuntimeHandlerTarget[]; running: RunningConfig }> {
  const running = await readRunningConfig(daemonOf(backend), options.configPath)
  checkWhole(running)
  const chosen =
    options.handlers === 'all' ? running.config.handlers : options.handlers.map((name) => find(running, name))
  const plugins = await backend.snapshotters()
  const names = [...new Set(chosen.map(({ snapshotter }) => snapshotter))].toSorted()
  const targets = names.map((snapshotter) => {
    const handlers = [...new Set(chosen.filter((handler) => handler.snapshotter === snapshotter))]
    return targetOf(snapshotter, handlers, running, plugins)
  })
  return { targets, running }
}

/** For a sentence: `handlers kata, runc`. */
function handlersText({ handlers }: Pick<RuntimeHandlerTarget, 'handlers'>): string {
  return `${handlers.length === 1 ? 'handler' : 'handlers'} ${handlers.join(', ')}`
}

function checkWhole({ config }: RunningConfig): void {
  const [missing] = config.missingImports
  if (missing === undefined) return
  throw new LayercastError('FILE_NOT_FOUND', `${missing.importedBy} imports ${missing.path}, which is not there`, {
    fix: 'Put the file back or take it out of imports; containerd would not start from it either.',
    detail: { path: missing.path, importedBy: missing.importedBy },
  })
}

function find({ config }: RunningConfig, name: string): RuntimeHandler {
  // A pod without a runtime class has an empty name.
  const wanted = name === '' ? config.defaultHandler : name
  const found = config.handlers.find((handler) => handler.name === wanted)
  if (found !== undefined) return found
  const known = config.handlers.map((handler) => handler.name)
  const files = config.files.map(({ path }) => path)
  const where = files.length > 0 ? files.join(', ') : "containerd's built-in settings"
  throw new LayercastError('HANDLER_NOT_FOUND', `there is no runtime handler ${JSON.stringify(wanted)} in ${where}`, {
    fix: `Use one of ${known.join(', ')}; or name the file that containerd was started with by --containerd-config.`,
    detail: { handler: wanted, known, files },
  })
}

function targetOf(
  snapshotter: string,
  handlers: readonly RuntimeHandler[],
  running: RunningConfig,
  plugins: readonly SnapshotterPlugin[],
): RuntimeHandlerTarget {
  const names = handlers.map(({ name }) => name).toSorted()
  const osFeatures = plugins.find(({ name }) => name === snapshotter)?.osFeatures ?? []
  const target: RuntimeHandlerTarget = { snapshotter, handlers: names, osFeatures, warnings: [] }
  const warn = ({ code, what, fix }: Finding): void => {
    target.warnings.push({ code, detail: `${what}. ${fix}` })
  }
  const who = handlersText(target)
  for (const handler of handlers) {
    if (handler.ignored !== undefined) warn(handlerIgnoredAdvice(handler, running.version))
  }
  if (running.config.disableSnapshotAnnotations && readsCriLabels(snapshotter)) {
    warn(annotationsOffAdvice({ snapshotter, who, daemon: running.daemon }))
  }
  const error = snapshotterFault(snapshotter, plugins, { who })
  return error === undefined ? target : { ...target, error }
}
