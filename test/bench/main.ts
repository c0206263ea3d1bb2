// npm run bench [-- [core] [cli] [unpack] [cri-proxy] [--rounds N] [--json]]
import { parseArgs } from 'node:util'
import { benchCLI } from './cli.ts'
import { benchCore } from './core/core.ts'
import { benchCriProxy } from './cri-proxy/cri-proxy.ts'
import { machine, reportText, type Row } from './report.ts'
import { benchUnpack } from './unpack/unpack.ts'

const SUITES: Record<string, (rounds: number) => Promise<Row[]>> = {
  core: benchCore,
  cli: benchCLI,
  unpack: benchUnpack,
  'cri-proxy': benchCriProxy,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, rounds: { type: 'string', default: '5' } },
})
const rounds = Number(values.rounds)
const chosen = positionals.length > 0 ? positionals : Object.keys(SUITES)
const unknown = chosen.filter((name) => !(name in SUITES))
if (unknown.length > 0 || !Number.isSafeInteger(rounds) || rounds < 1) {
  console.error(`usage: npm run bench -- [${Object.keys(SUITES).join('] [')}] [--rounds N] [--json]`)
  process.exit(2)
}

const rows: Row[] = []
for (const name of chosen) rows.push(...((await SUITES[name]?.(rounds)) ?? []))
if (values.json) console.log(JSON.stringify(rows, ['work', 'against', 'ratio', 'goal', 'met'], 2))
else console.log(`${machine()}; medians of ${rounds} interleaved rounds\n\n${reportText(rows)}`)
