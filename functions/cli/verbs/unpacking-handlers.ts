/** An unpack for runtime handlers: each snapshotter once, the pause image too where all handlers are wanted. */
import { hasCode, LayercastError } from '../../errors.ts'
import type { PlanWarning, Planned } from '../../plan/document.ts'
import type { NodeImage } from '../../runner/images/resolve.ts'
import type { HandlerTarget, SandboxImage } from '../../runner/runtime-handlers/targets.ts'
import { handlersReport, handlersReportText, worstOf, type HandlerEntry } from '../output/handlers.ts'
import type { Context } from '../program/context.ts'
import { containerdOf } from './handlers.ts'
import { importImage } from './importing.ts'
import { inputOf, lookUp, planHere, type PlanningOptions } from './planning.ts'
import { refusalOf, runDryRun, runUnpack, type UnpackingOptions } from './unpacking.ts'

interface Options extends Omit<PlanningOptions, 'snapshotter'>, UnpackingOptions {
  dryRun: boolean
  containerdConfig?: string | undefined
}

/**
 * Makes an image ready for handlers, and prints one entry for each snapshotter and image. Everything is planned before
 * anything is changed; then one snapshotter's failure does not keep the others from being made ready.
 * @throws LayercastError as `resolveHandlers` and the planner; after the report the worst of what failed
 */
export async function unpackForHandlers(
  context: Context,
  image: string,
  handlers: readonly string[] | 'all',
  options: Options,
): Promise<void> {
  const { CRI_NAMESPACE, findSandboxImage, resolveHandlers } = await import('../../runner/runtime-handlers/targets.ts')
  const { isSpec } = await import('../../runner/images/resolve.ts')
  const backend = await containerdOf(context, CRI_NAMESPACE)
  const { targets, running } = await resolveHandlers(backend, {
    handlers,
    ...(options.containerdConfig !== undefined && { configPath: options.containerdConfig }),
  })
  if (options.profile !== undefined && targets.length > 1) {
    throw new LayercastError('USAGE', `--profile is given, and the handlers go to ${targets.length} snapshotters`, {
      fix: 'Leave it away, or name handlers of one snapshotter.',
    })
  }
  const where = { signal: context.signal, ...(options.platform !== undefined && { platform: options.platform }) }
  const sandbox = handlers === 'all' ? await findSandboxImage(backend, running.config, where) : undefined
  const fromSource = isSpec(image)
  const lookedUp = (snapshotter: string) => lookUp(context, image, { ...options, snapshotter, onNode: true })
  const entries = await planAll(targets, { lookedUp, sandbox, fromSource }, options)

  if (fromSource && !options.dryRun) {
    const manifests = new Set<string>()
    for (const { target, role, planned, error } of entries) {
      // Snapshotters take the same manifest, but for one that prefers its own.
      if (role !== 'image' || planned === undefined || error !== undefined) continue
      if (manifests.has(planned.plan.manifest.digest)) continue
      manifests.add(planned.plan.manifest.digest)
      await importImage(context, image, { ...options, snapshotter: target.snapshotter })
    }
  }
  for (const entry of entries) await carryOut(context, entry, options)
  await context.show(handlersReport(entries), () => handlersReportText(entries))
  const worst = worstOf(entries)
  if (worst !== undefined) throw worst
}

async function planAll(
  targets: readonly HandlerTarget[],
  images: {
    lookedUp: (snapshotter: string) => Promise<NodeImage>
    sandbox: SandboxImage | undefined
    fromSource: boolean
  },
  options: Options,
): Promise<HandlerEntry[]> {
  const { lookedUp, sandbox, fromSource } = images
  const entries: HandlerEntry[] = []
  for (const target of targets) {
    const { snapshotter, error } = target
    const found = await lookedUp(snapshotter)
    const reference = options.reference ?? found.reference
    const pause = sandbox?.image?.reference === reference ? undefined : sandbox?.image
    const missing = sandbox !== undefined && sandbox.image === undefined ? [sandboxMissing(sandbox, target)] : []
    const plan = async (of: NodeImage, shape: Omit<PlanningOptions, 'snapshotter'>): Promise<Planned | undefined> =>
      error === undefined ? await planHere(inputOf(of, { ...shape, snapshotter })) : undefined
    const base = { target, ...(error !== undefined && { error }) }
    entries.push({
      ...base,
      role: 'image',
      reference,
      fromSource,
      planned: await plan(found, options),
      warnings: [...target.warnings, ...missing],
    })
    if (pause === undefined) continue
    // What the user says of the image's name is not said of the pause image.
    const { reference: _, ...shape } = options
    entries.push({
      ...base,
      role: 'sandbox',
      reference: pause.reference,
      fromSource: false,
      planned: await plan(pause, shape),
      warnings: [],
    })
  }
  return entries
}

async function carryOut(context: Context, entry: HandlerEntry, options: Options): Promise<void> {
  const { planned, fromSource } = entry
  if (planned === undefined) return
  try {
    if (options.dryRun) {
      entry.dryRun = await runDryRun(context, planned, { ...options, fromSource })
      const refusal = refusalOf(entry.dryRun)
      if (refusal !== undefined) entry.error = refusal
    } else {
      entry.result = await runUnpack(context, planned, options)
    }
  } catch (error) {
    // Whoever stops it means all of it, and a daemon that is gone is gone for the next snapshotter too.
    if (!(error instanceof LayercastError) || hasCode(error, 'ABORTED', 'CONTAINERD_UNREACHABLE')) throw error
    entry.error = error
  }
}

function sandboxMissing({ name, why }: SandboxImage, { snapshotter, handlers }: HandlerTarget): PlanWarning {
  const image = name === undefined ? "containerd's built-in pause image" : `the pause image ${name}`
  return {
    code: 'SANDBOX_IMAGE_MISSING',
    detail: `${image} was not made ready under ${snapshotter}, and pods of ${handlers.join(', ')} need it: ${why}. Pull or import it, and run this again.`,
  }
}
