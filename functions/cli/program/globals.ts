/** The options that every verb takes. */

import type { OptionSpec, OptionValues } from './spec.ts'

// CONTAINERD_ADDRESS and CONTAINERD_NAMESPACE are not `env` here: they are read where the backend is opened, so that --root does
// not clash with an address from the environment.
/** They may stand before the verb's name, after it, and between its words. */
export const GLOBALS = {
  output: {
    short: 'o',
    value: 'FORMAT',
    choices: ['table', 'json'],
    summary: 'how to print what was found (default: table)',
  },
  backend: {
    value: 'KIND',
    choices: ['containerd', 'embedded'],
    summary: "which node's parts to use (default: containerd where its socket answers)",
  },
  root: { value: 'DIR', summary: 'where the embedded backend keeps its images and snapshots' },
  address: {
    value: 'SOCKET',
    summary: "containerd's socket (default: CONTAINERD_ADDRESS, or where containerd puts it)",
  },
  namespace: {
    short: 'n',
    value: 'NAME',
    summary: "containerd's namespace (default: CONTAINERD_NAMESPACE, or default)",
  },
  timeout: { value: 'TIME', summary: 'give up when it is not done after so long: 30s, 5m (default: wait)' },
  verbose: { summary: 'say what is being done, and what was underneath an error' },
} as const satisfies Record<string, OptionSpec>

export type GlobalValues = OptionValues<typeof GLOBALS>
