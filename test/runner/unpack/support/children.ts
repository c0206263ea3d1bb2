import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { UnpackEvent, UnpackResult } from '../../../../functions/runner/unpack/types.ts'
import { childProgram } from '../../../support/child-program.ts'
import type { ChildTask } from './child.ts'

/** How a child ended, and what it had said until then. */
export interface ChildEnd {
  signal: NodeJS.Signals | null
  events: UnpackEvent[]
  result?: UnpackResult
  error?: { code: string; message: string }
  stderr: string
}

/** Runs an unpack in another process; `watch` gets the process and is called at each event. */
export async function runChild(
  task: ChildTask,
  watch?: (child: ChildProcess, event: UnpackEvent) => void,
): Promise<ChildEnd> {
  const program = await childProgram(join(import.meta.dirname, 'child.ts'))
  const child = spawn(process.execPath, [program, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_NO_WARNINGS: '1' },
  })
  const end: ChildEnd = { signal: null, events: [], stderr: '' }
  child.stderr.setEncoding('utf8').on('data', (text: string) => (end.stderr += text))
  createInterface({ input: child.stdout }).on('line', (line) => {
    const said = JSON.parse(line) as Partial<ChildEnd> & { event?: UnpackEvent }
    if (said.result) end.result = said.result
    if (said.error) end.error = said.error
    if (said.event) {
      end.events.push(said.event)
      watch?.(child, said.event)
    }
  })
  return await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      end.signal = signal
      if (signal === null && code !== 0) reject(new Error(`the child ended with status ${code}: ${end.stderr}`))
      else resolve(end)
    })
  })
}
