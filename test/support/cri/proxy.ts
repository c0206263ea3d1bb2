/** Runs `layercast cri-proxy` before a containerd of the tests. */
import { setTimeout as sleep } from 'node:timers/promises'
import { start } from '../layercast.ts'

const START_MS = 20_000

export interface CriProxy {
  /** The socket that it serves. */
  readonly address: string
  readonly pid: number
  /** What it wrote, one JSON document a line. */
  log(): string
  /** Ends it by SIGTERM; its exit status, or null where a signal ended it. */
  stop(): Promise<number | null>
  /** Kills it, as a power cut would. */
  kill(): Promise<void>
}

/** Starts the proxy and waits until it listens. Throws with its log when it ends or takes too long. */
export async function startCriProxy(
  listen: string,
  upstream: string,
  options: readonly string[] = [],
): Promise<CriProxy> {
  const places = ['--listen', listen, '--upstream', upstream]
  const child = start(['--verbose', 'cri-proxy', ...places, '--log-format', 'json', ...options])
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text))
  child.stdout.resume()
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const stop = async (): Promise<number | null> => {
    child.kill('SIGTERM')
    return await ended
  }
  for (const deadline = Date.now() + START_MS; !log.includes('"listening"'); await sleep(10)) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`the CRI proxy did not start:\n${log}`)
    if (Date.now() < deadline) continue
    await stop()
    throw new Error(`the CRI proxy took too long to start:\n${log}`)
  }
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  return { address: listen, pid: child.pid ?? 0, log: () => log, stop, kill }
}
