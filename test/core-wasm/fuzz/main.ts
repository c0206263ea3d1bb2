// npm run fuzz -- [--minutes N] [--inputs N] [--seed N]: mutated gzip and zstd inputs, judged against node:zlib.
import { parseArgs } from 'node:util'
import { fuzz } from './run.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    inputs: { type: 'string', default: '10000000' },
    seed: { type: 'string', default: '1' },
  },
})

let shown = Date.now()
const tally = await fuzz({
  firstSeed: Number(values.seed),
  inputs: Number(values.inputs),
  deadline: Date.now() + Number(values.minutes) * 60_000,
  onProgress: ({ inputs, wrong }) => {
    if (Date.now() - shown < 30_000) return
    shown = Date.now()
    console.error(`${inputs} inputs, ${wrong.length} wrong`)
  },
})
console.log(JSON.stringify(tally, null, 2))
if (tally.wrong.length > 0) process.exitCode = 1
