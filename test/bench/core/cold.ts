/** Benchmark: whole programs, from start to end. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { imageFiles } from '../image-files.ts'
import { row, type Row } from '../report.ts'
import { interleaved } from '../rounds.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** Each is a whole program, the shortest that gives the answer; both of a pair must print the same. */
const PROGRAMS = {
  'plan.ours.mjs': (library: string) => `
    import { readFileSync } from 'node:fs'
    import { plan } from '${library}'
    const input = { manifest: readFileSync('m.json'), config: readFileSync('c.json'), reference: 'example.com/app:1' }
    console.log(plan({ ...input, snapshotter: 'nydus' }).plan.chainID)`,
  'plan.theirs.mjs': () => `
    import { hash } from 'node:crypto'
    import { readFileSync } from 'node:fs'
    const manifest = readFileSync('m.json'), config = readFileSync('c.json')
    if ('sha256:' + hash('sha256', config) !== JSON.parse(manifest).config.digest) throw new Error('another config')
    let chain
    for (const diffID of JSON.parse(config).rootfs.diff_ids)
      chain = chain === undefined ? diffID : 'sha256:' + hash('sha256', chain + ' ' + diffID)
    console.log(chain)`,
  'gunzip.ours.mjs': () => `
    import { readFileSync } from 'node:fs'
    import { gunzip } from './core/index.js'
    const decoder = gunzip()
    let size = 0
    for (const view of decoder.write(readFileSync('4k.gz'))) size += view.length
    for (const view of decoder.end()) size += view.length
    console.log(size)`,
  'gunzip.theirs.mjs': () => `
    import { readFileSync } from 'node:fs'
    import { gunzipSync } from 'node:zlib'
    console.log(gunzipSync(readFileSync('4k.gz')).length)`,
} as const

async function prepare(directory: string): Promise<void> {
  // As a program is shipped: JavaScript, with what is seldom needed in a chunk of its own.
  await build({
    absWorkingDir: root,
    entryPoints: [{ in: 'core-wasm/core.ts', out: 'index' }],
    outdir: join(directory, 'core'),
    bundle: true,
    splitting: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'warning',
  })
  const { manifest, config } = imageFiles()
  await writeFile(join(directory, 'm.json'), manifest)
  await writeFile(join(directory, 'c.json'), config)
  await writeFile(join(directory, '4k.gz'), gzipSync(Buffer.from('a layer of 4 KB, '.repeat(241))))
  const library = new URL('../../../dist/index.js', import.meta.url).href
  for (const [name, text] of Object.entries(PROGRAMS)) await writeFile(join(directory, name), text(library))
}

function run(directory: string, program: keyof typeof PROGRAMS): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { cwd: directory, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr}`)
  return stdout
}

/** The first answer of a process that has just been started, its start included. */
export async function benchCold(rounds: number): Promise<Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'layercast-cold-'))
  try {
    await prepare(directory)
    const compare = async (work: string, name: 'plan' | 'gunzip', against: string): Promise<Row> => {
      if (run(directory, `${name}.ours.mjs`) !== run(directory, `${name}.theirs.mjs`))
        throw new Error(`${name} differs`)
      const medians = await interleaved(
        [
          { name: 'ours', run: () => void run(directory, `${name}.ours.mjs`) },
          { name: 'theirs', run: () => void run(directory, `${name}.theirs.mjs`) },
        ],
        rounds * 4,
      )
      const of = (who: string): number => medians.get(who) ?? Number.NaN
      const figures = `${of('ours').toFixed(1)} ms, ${of('theirs').toFixed(1)} ms`
      return row(`cold process: ${work}`, against, of('theirs') / of('ours'), 1, figures)
    }
    return [
      await compare('gunzip of 4 KB', 'gunzip', 'node:zlib'),
      await compare('plan of one image', 'plan', 'JSON.parse + node:crypto, its chain ID only'),
    ]
  } finally {
    await rm(directory, { recursive: true })
  }
}
