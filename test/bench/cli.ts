/** Benchmark: the program's start. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { row, type Row } from './report.ts'
import { interleaved } from './rounds.ts'

const LAUNCHER = fileURLToPath(new URL('../../functions/cli/layercast.sh', import.meta.url))
/** What `layercast --help` may take. */
const BUDGET_MS = 150

function call(command: string, args: string[]): void {
  const { status } = spawnSync(command, args, { stdio: 'ignore' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}`)
}

/** How long the program takes to start, beside a Node that does nothing. */
export async function benchCLI(rounds: number): Promise<Row[]> {
  const medians = await interleaved(
    [
      { name: 'ours', run: () => call(LAUNCHER, ['--help']) },
      { name: 'node', run: () => call(process.execPath, ['--eval', '0']) },
    ],
    rounds * 4,
  )
  const ms = (name: string) => medians.get(name) ?? Number.NaN
  return [
    row('layercast --help', `its budget of ${BUDGET_MS} ms`, BUDGET_MS / ms('ours'), 1, `${ms('ours').toFixed(0)} ms`),
    row(
      'layercast --help',
      'node --eval 0',
      ms('node') / ms('ours'),
      null,
      `${ms('ours').toFixed(0)} ms, ${ms('node').toFixed(0)} ms`,
    ),
  ]
}
