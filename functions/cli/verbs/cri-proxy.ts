/** `layercast cri-proxy` */

import type { CriProxyEvent } from '../../cri-proxy/cri-proxy.ts'
import { LayercastError } from '../../errors.ts'
import type { Context } from '../program/context.ts'
import { count, duration } from '../program/text.ts'
import { seconds } from '../program/values.ts'
import { verb } from '../program/verb.ts'
import { CONTAINERD_CONFIG } from './shared/options.ts'

export const criProxyVerb = verb({
  path: ['cri-proxy'],
  group: 'Make images ready',
  summary: 'stand between the kubelet and containerd, and have an image ready before its container is created',
  description:
    'Every call goes through untouched. RunPodSandbox and CreateContainer wait until the chain of their image is there under ' +
    "the snapshotter of the pod's runtime handler, with its labels. Point the kubelet to it with " +
    '--container-runtime-endpoint=unix:///run/layercast/cri.sock.',
  arguments: [],
  options: {
    listen: { value: 'PATH', summary: 'the socket that it serves (default: /run/layercast/cri.sock)' },
    upstream: { value: 'PATH', summary: "containerd's socket (default: --address)" },
    budget: { value: 'TIME', summary: 'how long a call waits at most, before it goes on as it came (default: 90s)' },
    onFailure: {
      value: 'WHAT',
      choices: ['pass', 'refuse'],
      summary: 'what becomes of a call whose image could not be made ready (default: pass)',
    },
    grace: { value: 'TIME', summary: 'how long calls under way are waited for at the end (default: 10s)' },
    containerdConfig: CONTAINERD_CONFIG,
    metrics: { value: 'HOST:PORT', summary: 'serves /metrics for Prometheus, and /healthz' },
    logFormat: {
      value: 'FORMAT',
      choices: ['text', 'json'],
      summary: 'one line for each thing that happened (default: text)',
    },
  },
  examples: [
    { command: 'cri-proxy', summary: 'between the kubelet and containerd, at their usual places' },
    { command: 'cri-proxy --metrics 127.0.0.1:9095 --log-format json', summary: 'with figures, and logs for programs' },
  ],
  async run(context, { options }) {
    const { onFailure = 'pass', logFormat = 'text' } = options
    const metrics = options.metrics === undefined ? undefined : addressOf(options.metrics)
    const budgetMs = seconds('--budget', options.budget ?? '90s') * 1000
    const graceMs = seconds('--grace', options.grace ?? '10s') * 1000
    const { CRI_PROXY_SOCKET } = await import('../../runner/doctor/names.ts')
    const { socketPath } = await import('../../linux/unix-socket.ts')
    const { daemonAddress } = await import('../../node/containerd/connection.ts')
    const { connectContainerd } = await import('../../node/containerd/backend.ts')
    const { CRI_NAMESPACE } = await import('../../node/cri-namespace.ts')
    const { runCriProxy } = await import('../../cri-proxy/cri-proxy.ts')
    const upstream = socketPath(options.upstream ?? daemonAddress(context.globals.address))
    await runCriProxy({
      listen: socketPath(options.listen ?? CRI_PROXY_SOCKET),
      upstream,
      connect: () => connectContainerd({ address: upstream, namespace: CRI_NAMESPACE }),
      configPath: options.containerdConfig,
      budgetMs,
      onFailure,
      graceMs,
      metrics,
      signal: context.signal,
      onEvent: (event) => tell(context, event, logFormat),
    })
  },
})

function addressOf(text: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) {
    throw new LayercastError('USAGE', `--metrics is ${text}`, {
      fix: 'Give an address and a port, such as 127.0.0.1:9095.',
    })
  }
  return { host: match[1] ?? match[2] ?? '', port }
}

function tell(context: Context, event: CriProxyEvent, format: 'text' | 'json'): void {
  const line = format === 'json' ? JSON.stringify(recordOf(event)) : textOf(event)
  // What was ready is the usual case: a log is not to fill with it.
  if (event.type === 'ready' && (event.made.outcome === 'ready' || event.made.outcome === 'skipped'))
    context.detail(line)
  else context.note(line)
}

function recordOf(event: CriProxyEvent): Record<string, unknown> {
  const time = new Date().toISOString()
  if (event.type === 'failed') {
    const { error, ...rest } = event
    const told =
      error instanceof LayercastError
        ? { code: error.code, message: error.message, ...(error.fix !== undefined && { fix: error.fix }) }
        : { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) }
    return { time, ...rest, error: told }
  }
  return { time, ...event }
}

function textOf(event: CriProxyEvent): string {
  switch (event.type) {
    case 'listening':
      return `listening at ${event.listen} for ${event.upstream}${event.metrics === undefined ? '' : `; ${event.metrics}`}`
    case 'ending':
      return `ending; ${count(event.connections, 'connection')} open`
    case 'ready': {
      const { made, method, ms } = event
      const why = made.why === undefined ? '' : ` (${made.why})`
      return `${method}: ${made.reference} under ${made.snapshotter}: ${made.outcome} in ${duration(ms)}${why}`
    }
    case 'failed': {
      const { error, method, image, refused, ms } = event
      const what = error instanceof LayercastError ? `${error.message} [${error.code}]` : String(error)
      const fix = error instanceof LayercastError && error.fix !== undefined ? `. ${error.fix}` : ''
      return `${method}: ${image ?? 'the sandbox image'}: ${what}${fix}; the call ${refused ? 'was refused' : 'goes on'} after ${duration(ms)}`
    }
  }
}
