/** The nydus snapshotter as a daemon. */
import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Daemon } from './daemon.ts'
import { nydusProgram } from './versions.ts'

/** Where the nydus snapshotter of a private directory listens. */
export function nydusSocket(directory: string): string {
  return join(directory, 'nydus', 'grpc.sock')
}

/** The nydus snapshotter in proxy mode: it keeps records of layers that a guest fetches by itself. */
export async function startNydus(directory: string): Promise<Daemon> {
  const found = await nydusProgram()
  if ('missing' in found) throw new Error(`nydus cannot run here: ${found.missing}`)
  const root = join(directory, 'nydus')
  await mkdir(root)
  const config = join(root, 'config.toml')
  const quote = (text: string): string => JSON.stringify(text)
  const lines = [
    'version = 1',
    `root = ${quote(root)}`,
    `address = ${quote(nydusSocket(directory))}`,
    'daemon_mode = "none"',
    '[daemon]',
    'fs_driver = "proxy"',
    '[snapshot]',
    'enable_kata_volume = true',
  ]
  await writeFile(config, `${lines.join('\n')}\n`)
  const daemon = new Daemon({
    program: found.program,
    args: ['--config', config],
    cwd: root,
    ready: () =>
      access(nydusSocket(directory)).then(
        () => true,
        () => false,
      ),
  })
  await daemon.start()
  return daemon
}
