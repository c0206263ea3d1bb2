import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Miniflare, NoOpLog } from 'miniflare'
import { bundleWorker } from '../../../../functions/serve/bundle.ts'
import type { Input } from '../../inputs.ts'
import { rate, row, type Row } from '../../report.ts'
import { interleaved } from '../../rounds.ts'

const root = fileURLToPath(new URL('../../../..', import.meta.url))

/** Verified diff IDs inside workerd, beside its own streams. */
export async function benchWorkerd(inputs: readonly Input[], rounds: number): Promise<Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'layercast-bench-'))
  let miniflare: Miniflare | undefined
  try {
    await bundleWorker(directory, 'test/bench/core/workerd/worker.ts')
    miniflare = new Miniflare({
      enableDevRegistry: false,
      host: '127.0.0.1',
      port: 0,
      cf: false,
      telemetry: { enabled: false },
      log: new NoOpLog(),
      logRequests: false,
      workers: [
        {
          dev: { rootPath: root },
          config: {
            name: 'bench',
            compatibilityDate: '2026-10-01',
            manifest: {
              mainModule: 'index.js',
              modules: {
                'index.js': { type: 'esm', contents: await readFile(join(directory, 'index.js'), 'utf8') },
                'core.wasm': { type: 'wasm', contents: await readFile(join(directory, 'core.wasm')) },
              },
            },
          },
        },
      ],
    })
    const { origin } = await miniflare.ready
    const rows: Row[] = []
    for (const input of inputs) {
      const { length } = input.tar
      await (await fetch(`${origin}/input`, { method: 'POST', body: Buffer.from(input.gzip) })).text()
      const run = async (name: string): Promise<void> => {
        const got = await (await fetch(`${origin}/${name}`)).text()
        if (got !== input.sha256) throw new Error(`${name} gave ${got}, and it is ${input.sha256}`)
      }
      const medians = await interleaved(
        [
          { name: 'ours', run: () => run('ours') },
          { name: 'theirs', run: () => run('theirs') },
        ],
        rounds,
      )
      const ours = medians.get('ours') ?? Number.NaN
      const theirs = medians.get('theirs') ?? Number.NaN
      rows.push(
        row(
          `verified diff ID in workerd: ${input.name}`,
          'DecompressionStream + DigestStream',
          theirs / ours,
          2.5,
          `${rate(length, ours)}, ${rate(length, theirs)}`,
        ),
      )
    }
    return rows
  } finally {
    await miniflare?.dispose()
    await rm(directory, { recursive: true })
  }
}
