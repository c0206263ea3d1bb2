/**
 * A repair in a process of its own, which kills itself at a point. Argument: JSON of RepairTask. Writes what became of it as
 * a line of JSON: {"events": n, "ok": ...} or {"events": n, "error": ...}.
 */
import { readFile } from 'node:fs/promises'
import { LayercastError } from '../../../../functions/errors.ts'
import { openBackend, type BackendOptions } from '../../../../functions/node/open.ts'
import { parsePlan } from '../../../../functions/plan/parse.ts'
import { repairChain } from '../../../../functions/runner/repair/repair.ts'

export interface RepairTask {
  backend: BackendOptions
  /** A file with the plan's bytes. */
  plan: string
  deep?: boolean
  /** SIGKILLs itself once this many events have come. */
  killAfter?: number
}

const task = JSON.parse(process.argv[2] ?? '') as RepairTask
const backend = await openBackend(task.backend)
const planned = parsePlan(await readFile(task.plan))
let events = 0
try {
  const { ok } = await repairChain({
    backend,
    planned,
    deep: task.deep ?? false,
    onEvent: () => {
      if (++events === task.killAfter) process.kill(process.pid, 'SIGKILL')
    },
  })
  process.stdout.write(JSON.stringify({ events, ok }))
} catch (error) {
  const { code, message } = error instanceof LayercastError ? error : { code: 'INTERNAL', message: String(error) }
  process.stdout.write(JSON.stringify({ events, error: `${code}: ${message}` }))
} finally {
  await backend.close()
}
