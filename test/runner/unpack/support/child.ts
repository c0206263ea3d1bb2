/**
 * An unpack in a process of its own, which its parent may have killed at any point.
 * Argument: JSON of ChildTask. Writes each event as a line of JSON, and at the end {"result": ...} or {"error": ...}.
 */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { LayercastError } from '../../../../functions/errors.ts'
import { openBackend, type BackendOptions } from '../../../../functions/node/open.ts'
import { parsePlan } from '../../../../functions/plan/parse.ts'
import type { ApplierChoice } from '../../../../functions/runner/unpack/types.ts'
import { unpack } from '../../../../functions/runner/unpack/unpack.ts'

export interface ChildTask {
  backend: BackendOptions
  /** A file with the plan's bytes. */
  plan: string
  applier?: ApplierChoice
  /** Where missing blobs come from. */
  sources?: readonly string[]
  /** SIGKILLs itself once this many events have come. */
  killAfter?: number
  /** Waits with the start until this time, in milliseconds since 1970. */
  startAt?: number
}

const task = JSON.parse(process.argv[2] ?? '') as ChildTask
const backend = await openBackend(task.backend)
const planned = parsePlan(await readFile(task.plan))
if (task.startAt !== undefined) await sleep(Math.max(0, task.startAt - Date.now()))
let events = 0
const tell = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)
try {
  const result = await unpack({
    backend,
    planned,
    ...(task.applier === undefined ? {} : { applier: task.applier }),
    ...(task.sources === undefined ? {} : { blobs: { sources: task.sources } }),
    onEvent: (event) => {
      tell({ event })
      if (++events === task.killAfter) process.kill(process.pid, 'SIGKILL')
    },
  })
  tell({ result })
} catch (error) {
  const { code, message } = error instanceof LayercastError ? error : { code: 'INTERNAL', message: String(error) }
  tell({ error: { code, message } })
} finally {
  await backend.close()
}
