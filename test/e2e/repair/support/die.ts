import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { childProgram } from '../../../support/child-program.ts'
import type { DyingTask } from './dying.ts'

/** Runs a task that is killed on its way; fails where it ends otherwise. */
export async function die(task: DyingTask): Promise<void> {
  const program = await childProgram(join(import.meta.dirname, 'dying.ts'))
  await new Promise<void>((resolve, reject) => {
    execFile(process.execPath, [program, JSON.stringify(task)], (error, _, stderr) => {
      if (error?.signal === 'SIGKILL') resolve()
      else reject(new Error(`the child was to be killed: ${stderr}`, { cause: error }))
    })
  })
}
