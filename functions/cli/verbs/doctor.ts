/** `layercast doctor` */

import { LayercastError } from '../../errors.ts'
import { daemonOf } from '../../node/daemon.ts'
import type { DaemonFacts } from '../../runner/doctor/facts.ts'
import type { CriProxyAdvice, Finding, LabelledUnpack } from '../../runner/doctor/finding.ts'
import { count, printable } from '../program/text.ts'
import { verb } from '../program/verb.ts'
import { CONTAINERD_CONFIG } from './shared/options.ts'
import { containerdOf } from './shared/runtime-handlers.ts'

export const doctorVerb = verb({
  path: ['doctor'],
  group: 'Look at a node',
  summary: "list what will bite in a node's containerd, each with its fix",
  description:
    "Reads containerd's configuration (versions 2 to 4, imports and drop-ins, as the daemon reads them) and the daemon itself. " +
    'Nothing is changed. Exit status 5 where something stops pods.',
  arguments: [],
  options: { containerdConfig: CONTAINERD_CONFIG },
  examples: [
    { command: 'doctor', summary: 'what is wrong here, the worst first' },
    { command: "doctor -o json | jq -r '.findings[].code'", summary: 'the codes, for a script' },
  ],
  async run(context, { options }) {
    const backend = await containerdOf(context)
    const { diagnose } = await import('../../runner/doctor/diagnose.ts')
    const { gatherDaemonFacts } = await import('../../runner/doctor/facts.ts')
    const { criProxyAdvice, labelledUnpack } = await import('../../runner/doctor/finding.ts')
    const facts = await gatherDaemonFacts(daemonOf(backend), options.containerdConfig)
    const findings = diagnose(facts)
    const files = facts.config.files.map(({ path, version }) => ({ path, version }))
    const labelled = labelledUnpack(facts)
    const criProxy = criProxyAdvice(facts)
    await context.show({ containerd: facts.version, files, labelledUnpack: labelled, criProxy, findings }, () =>
      findingsText(facts, labelled, criProxy, findings),
    )
    const errors = findings.filter(({ severity }) => severity === 'error').length
    if (errors === 0) return
    throw new LayercastError('VERIFICATION_FAILED', `${count(errors, 'finding')} will stop pods on this node`, {
      fix: 'Follow the fixes above, and run layercast doctor again.',
      detail: { codes: findings.filter(({ severity }) => severity === 'error').map(({ code }) => code) },
    })
  },
})

function findingsText(
  { version, config }: DaemonFacts,
  { byContainerd, why }: LabelledUnpack,
  criProxy: CriProxyAdvice,
  findings: readonly Finding[],
): string {
  const from = config.files.map(({ path, version: written }) => `${path} (version ${written})`)
  const head = `containerd ${version}, ${from.length > 0 ? `configured by ${from.join(', ')}` : 'with its built-in settings'}`
  const unpack = `labelled unpacks by containerd itself: ${byContainerd ? 'yes' : 'no'} (${why})`
  const proxy = `CRI proxy: ${criProxy.needed ? 'needed' : 'not needed'} (${criProxy.why})${criProxy.socket === undefined ? '' : `; one serves ${criProxy.socket}, which pods go through if the kubelet is pointed to it`}`
  const list = findings.map(
    ({ severity, code, what, fix }) => `${severity.padEnd(7)}  ${code}\n         ${what}\n         fix: ${fix}\n`,
  )
  return printable([`${head}\n${unpack}\n${proxy}\n`, ...(list.length > 0 ? list : ['nothing found\n'])].join('\n'))
}
