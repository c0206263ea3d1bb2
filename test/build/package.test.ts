/** The package as npm packs it: the library in Node and in a Worker, its types, its program, its files. */

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { Miniflare } from 'miniflare'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildTypes } from '../../functions/build/types.ts'
import { plan } from '../../functions/library.ts'
import packageJSON from '../../package.json' with { type: 'json' }
import { file } from '../support/images/entries.ts'
import { buildImage } from '../support/images/image.ts'

const run = promisify(execFile)
const checkout = fileURLToPath(new URL('../..', import.meta.url))
const image = buildImage({ layers: [[file('a', 'b')]] })
const input = {
  reference: 'example.com/a:1',
  manifest: image.manifestBytes,
  config: image.configBytes,
  snapshotter: 'nydus',
}
const expected = plan(input).digest

/** A program of a user of the library. The documents are in base64, since a Worker has no files. */
const PLANNING = `
  import { LayercastError, plan } from 'layercast'
  const bytes = (text: string): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  const manifest = bytes('${Buffer.from(image.manifestBytes).toString('base64')}')
  const config = bytes('${Buffer.from(image.configBytes).toString('base64')}')
  const { digest } = plan({ reference: '${input.reference}', manifest, config, snapshotter: 'nydus' })
  let code: string = 'none'
  try { plan({ reference: '${input.reference}', manifest: config, config, snapshotter: 'nydus' }) }
  catch (error) { if (error instanceof LayercastError) code = error.code }
  const said: string = digest + ' ' + (code === 'none' ? 'not refused' : 'refused')`

// Installed as npm would do it, without a network: packed, unpacked, its dependencies linked from this checkout.
describe('the package, installed', () => {
  let project: string
  let installed: string

  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'layercast-package-'))
    installed = join(project, 'node_modules', 'layercast')
    await buildTypes(join(checkout, 'dist', 'types'))
    await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', project], { cwd: checkout })
    await mkdir(installed, { recursive: true })
    await run('tar', [
      '-xzf',
      join(project, `layercast-${packageJSON.version}.tgz`),
      '--strip-components=1',
      '-C',
      installed,
    ])
    for (const name of Object.keys(packageJSON.dependencies)) {
      const link = join(project, 'node_modules', name)
      await mkdir(join(link, '..'), { recursive: true })
      await symlink(join(checkout, 'node_modules', name), link)
    }
    await writeFile(join(project, 'package.json'), '{"type":"module","private":true}')
    await writeFile(join(project, 'node.ts'), `${PLANNING}\n  console.log(said)\n`)
    await writeFile(join(project, 'worker.ts'), `${PLANNING}\n  export default { fetch: () => new Response(said) }\n`)
  }, 120_000)
  afterAll(() => rm(project, { recursive: true, force: true }))

  test('plans in Node, the same as in the checkout', async () => {
    const { stdout } = await run(process.execPath, [join(project, 'node.ts')], { cwd: project })
    expect(stdout.trim()).toBe(`${expected} refused`)
  })

  test('plans in a Worker that a bundler made, the same as in Node', async () => {
    const outdir = join(project, 'worker')
    await build({
      entryPoints: [join(project, 'worker.ts')],
      outdir,
      bundle: true,
      format: 'esm',
      platform: 'neutral',
      conditions: ['workerd', 'worker', 'browser'],
      logLevel: 'silent',
      // As wrangler does it: the module of the core is copied beside the bundle.
      loader: { '.wasm': 'copy' },
      assetNames: '[name]',
    })
    const modules = {
      'worker.js': { type: 'esm' as const, contents: await readFile(join(outdir, 'worker.js'), 'utf8') },
      'core.wasm': { type: 'wasm' as const, contents: await readFile(join(outdir, 'core.wasm')) },
    }
    const config = { name: 'planner', compatibilityDate: '2026-10-01', manifest: { mainModule: 'worker.js', modules } }
    const miniflare = new Miniflare({
      enableDevRegistry: false,
      cf: false,
      telemetry: { enabled: false },
      workers: [{ dev: { rootPath: outdir }, config }],
    })
    try {
      const response = await miniflare.dispatchFetch('http://localhost/')
      expect(await response.text()).toBe(`${expected} refused`)
    } finally {
      await miniflare.dispose()
    }
  }, 60_000)

  test('has types that hold for whoever uses it', async () => {
    const options = {
      target: 'es2024',
      module: 'nodenext',
      strict: true,
      noEmit: true,
      types: [],
      lib: ['es2024', 'dom'],
    }
    const files = ['node.ts', 'worker.ts']
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files }))
    const tsc = join(checkout, 'node_modules/typescript/bin/tsc')
    const { stdout } = await run(process.execPath, [tsc, '-p', project]).catch((error: { stdout: string }) => error)
    expect(stdout).toBe('')
  }, 60_000)

  test('has a program that starts', async () => {
    const { stdout } = await run(join(installed, packageJSON.bin.layercast), ['--version'], {
      env: { PATH: `${join(checkout, 'node_modules/.bin')}:/usr/bin:/bin` },
    })
    expect(stdout.trim()).toBe(packageJSON.version)
  })

  test('holds what runs and nothing else', async () => {
    const { stdout } = await run('tar', ['-tzf', join(project, `layercast-${packageJSON.version}.tgz`)])
    const files = stdout.trimEnd().split('\n')
    const extra = files.filter(
      (name) =>
        !/^package\/(?:dist\/|core-wasm\/build\/(?:core(?:-shared)?\.wasm|decode-worker\.js)|functions\/(?:cli\/layercast\.sh|api\/migrations\/|cri-proxy\/layercast-cri-proxy\.service)|package\.json|README\.md|LICENSE)/u.test(
          name,
        ),
    )
    expect(extra).toEqual([])
    expect(files).toEqual(
      expect.arrayContaining([
        'package/core-wasm/build/core.wasm',
        'package/core-wasm/build/core-shared.wasm',
        'package/core-wasm/build/decode-worker.js',
        'package/dist/index.js',
        'package/dist/index.workerd.js',
        'package/dist/worker/index.js',
        'package/dist/serve/serve.capnp',
        'package/functions/cri-proxy/layercast-cri-proxy.service',
        'package/LICENSE',
      ]),
    )
    expect(await readFile(join(installed, 'dist/index.js'), 'utf8')).not.toContain(checkout)
  })
})
