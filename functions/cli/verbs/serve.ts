/** `layercast serve` */

import { once } from 'node:events'
import { keepingSignals } from '../program/signals.ts'
import { fields } from '../program/table.ts'
import { port } from '../program/values.ts'
import { verb } from '../program/verb.ts'

const DEFAULT_ROOT = '/var/lib/layercast/server'
const DEFAULT_PORT = 8787

export const serveVerb = verb({
  path: ['serve'],
  group: 'Run a fleet',
  summary: 'serve the API on this machine: the Worker under workerd, its data in a directory',
  description:
    'At its first start it makes an operator token, in a file that only its owner may read. ' +
    'It runs until it is stopped. In place of --root, the directory may be given as --data.',
  arguments: [],
  options: {
    data: { value: 'DIR', summary: `where the database and the operator token are kept (default: ${DEFAULT_ROOT})` },
    host: { value: 'ADDRESS', summary: 'the address to listen on (default: 127.0.0.1)' },
    port: { value: 'PORT', summary: `the port to listen on; 0 for any that is free (default: ${DEFAULT_PORT})` },
    allowHost: {
      value: 'NAME',
      many: true,
      summary: "a name that it answers to besides the loopback's and --host: that of a proxy before it",
    },
    openPlanner: {
      summary: 'let whoever reaches the port plan without a token; the fleet stays closed',
    },
  },
  examples: [
    { command: 'serve --data ./server', summary: 'for this machine' },
    {
      command: 'serve --data ./server --allow-host plans.example.com',
      summary: 'behind a proxy that does TLS and hands the name on',
    },
  ],
  async run(context, { options }) {
    const { serve } = await import('../../serve/serve.ts')
    const served = await keepingSignals(() =>
      serve({
        root: options.data ?? context.globals.root ?? DEFAULT_ROOT,
        port: options.port === undefined ? DEFAULT_PORT : port('--port', options.port),
        log: (line) => context.note(line),
        host: options.host,
        allowHosts: options.allowHost,
        openPlanner: options.openPlanner,
      }),
    )
    context.defer(() => served.close())
    const { url, operatorTokenFile } = served
    await context.show({ url, operatorTokenFile }, () =>
      fields([
        ['server', url],
        ['operator token', operatorTokenFile],
      ]),
    )
    context.note(`Ctrl-C stops it. For operators: export LAYERCAST_SERVER=${url} LAYERCAST_TOKEN=@${operatorTokenFile}`)
    if (!context.signal.aborted) await Promise.race([once(context.signal, 'abort'), served.ended])
  },
})
