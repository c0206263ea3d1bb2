import type { Finding } from '../../runner/doctor/index.ts'
import type { ContainerdBackend } from '../../runner/containerd/index.ts'
import { LayercastError } from '../../image/errors.ts'
import { count } from '../output/text.ts'
import { verb } from '../verb.ts'
import { CONTAINERD_CONFIG } from './options.ts'

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
    const backend = await context.backend()
    if (backend.kind !== 'containerd') {
      throw new LayercastError('CONTAINERD_UNREACHABLE', 'doctor looks at a containerd, and none answers here', {
        fix: 'Name its socket with --address.',
      })
    }
    const { diagnose, gatherFacts } = await import('../../runner/doctor/index.ts')
    const configPath = options.containerdConfig
    const facts = await gatherFacts(backend as ContainerdBackend, configPath === undefined ? {} : { configPath })
    const findings = diagnose(facts)
    const files = facts.config.files.map(({ path, version }) => ({ path, version }))
    await context.show({ containerd: facts.version, files, findings }, () => findingsText(facts.version, findings))
    const errors = findings.filter(({ severity }) => severity === 'error').length
    if (errors === 0) return
    throw new LayercastError('VERIFICATION_FAILED', `${count(errors, 'finding')} will stop pods on this node`, {
      fix: 'Follow the fixes above, and run layercast doctor again.',
      detail: { codes: findings.filter(({ severity }) => severity === 'error').map(({ code }) => code) },
    })
  },
})

function findingsText(version: string, findings: readonly Finding[]): string {
  if (findings.length === 0) return `containerd ${version}: nothing found\n`
  return findings
    .map(({ severity, code, what, fix }) => `${severity.padEnd(7)}  ${code}\n         ${what}\n         fix: ${fix}\n`)
    .join('\n')
}
