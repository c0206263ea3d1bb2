/** Another process that changes the tree while a layer is written into it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LayercastError } from '../../../../functions/errors.ts'
import { dir, file, hardlink, whiteout } from '../../../support/images/entries.ts'
import { UNTOUCHED, useAttacks } from './support.ts'

const { sandbox, scene, outsideOf } = useAttacks()

test(
  'a directory swapped for a symbolic link to the outside, over and over, while the layer is written',
  {
    timeout: 60_000,
  },
  async () => {
    const place = scene()
    for (const name of ['d/sub', 'e']) mkdirSync(join(place.root, name), { recursive: true })
    symlinkSync('d/sub', join(place.root, 'via'))
    symlinkSync(place.outside, join(place.root, 'swap'))
    const at = new URL('../../../../functions/linux/at.ts', import.meta.url).href
    const code = `import { openSync } from 'node:fs'
    import { renameAt } from ${JSON.stringify(at)}
    const root = openSync(process.argv[1], 'r')
    let count = 0
    console.log('ready')
    for (;;) if (renameAt(root, 'd', root, 'swap', 'exchange') === 0) count++`
    const racer = spawn(process.execPath, ['--input-type=module', '-e', code, place.root], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      await once(racer.stdout, 'data')
      const entries = Array.from({ length: 20 }, (_, index) => [
        file(`d/secret`, `pwned ${index}`),
        file(`e/f${index}`, ''),
        whiteout(`d/secret`),
        file(`e/g${index}`, ''),
        hardlink(`e/h${index}`, `e/g${index}`),
        dir(`d/x${index}`, { mode: 0o777 }),
        file(`via/f${index}`, 'pwned'),
      ]).flat()
      // What the racer breaks makes most layers fail soon; none may escape.
      for (let round = 0; round < 80; round++) {
        await sandbox.apply(place.root, entries).catch((error: unknown) => {
          if (!(error instanceof LayercastError)) throw error
        })
        expect(outsideOf(place)).toEqual(UNTOUCHED)
      }
    } finally {
      racer.kill('SIGKILL')
      await once(racer, 'exit')
    }
  },
)
