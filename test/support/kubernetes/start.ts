/** A private Kubernetes of one node: etcd, an API server, a kubelet. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Daemon } from '../containerd/daemon.ts'
import { freePort } from '../free-port.ts'
import { KubernetesApi } from './api.ts'
import { kubeletConfig, privateKubelet } from './kubelet.ts'
import { kubernetesPrograms } from './programs.ts'

export const NODE = 'node-of-the-test'
const TOKEN = 'token-of-the-test'
/** On a busy machine; the API server alone takes some ten seconds of a processor. */
const START_MS = 180_000

export interface TestKubernetes {
  readonly api: KubernetesApi
  /** Where the kubelet has containers write their logs. */
  readonly podLogs: string
  /** What the kubelet has written to its log. */
  log(): string
  /** Ends the kubelet, the API server and etcd, in this order. The directory is the caller's. */
  stop(): Promise<void>
}

/**
 * Starts one and waits until the node is registered. Pods run on the host's network, and are bound by `nodeName`: there is
 * neither a scheduler nor a controller manager.
 * @param directory where all its files go; it is made
 * @param endpoint the socket of the container runtime
 */
export async function startKubernetes(directory: string, endpoint: string): Promise<TestKubernetes> {
  const found = await kubernetesPrograms()
  if ('missing' in found) throw new Error(`Kubernetes cannot run here: ${found.missing}`)
  await mkdir(directory)
  const daemons: Daemon[] = []
  const start = async (daemon: Daemon): Promise<void> => {
    daemons.unshift(daemon)
    await daemon.start(START_MS)
  }
  const stop = async (): Promise<void> => {
    for (const daemon of daemons) await daemon.kill()
  }
  try {
    const etcdPort = await freePort()
    await start(etcd(found.etcd, directory, etcdPort, await freePort()))
    const port = await freePort()
    const apiServer = await startApiServer(found.apiServer, { directory, port, etcdPort, start })
    const kubelet = await privateKubelet(found.kubelet, directory, NODE)
    await writeFile(kubelet.config, kubeletConfig(directory, endpoint, await freePort(), await freePort()))
    await writeFile(kubelet.kubeconfig, kubeconfig(port, apiServer.certificate))
    const daemon = new Daemon({
      ...kubelet.command,
      cwd: directory,
      ready: () => apiServer.api.has(`/api/v1/nodes/${NODE}`),
    })
    await start(daemon)
    return { api: apiServer.api, podLogs: kubelet.podLogs, log: () => daemon.log, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function etcd(program: string, directory: string, port: number, peerPort: number): Daemon {
  const clients = `http://127.0.0.1:${port}`
  const peers = `http://127.0.0.1:${peerPort}`
  const args = [
    `--name=default`,
    `--data-dir=${join(directory, 'etcd')}`,
    `--listen-client-urls=${clients}`,
    `--advertise-client-urls=${clients}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
    `--initial-cluster=default=${peers}`,
    // What a power cut would take is no loss here.
    '--unsafe-no-fsync',
  ]
  return new Daemon({
    program,
    args,
    cwd: directory,
    ready: () =>
      fetch(`${clients}/health`).then(
        (answer) => answer.ok,
        () => false,
      ),
  })
}

interface ApiServerOptions {
  directory: string
  port: number
  etcdPort: number
  start: (daemon: Daemon) => Promise<void>
}

async function startApiServer(
  program: string,
  { directory, port, etcdPort, start }: ApiServerOptions,
): Promise<{ api: KubernetesApi; certificate: string }> {
  const certificates = join(directory, 'api-server')
  await mkdir(certificates)
  const key = join(certificates, 'service-accounts.pem')
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  await writeFile(key, privateKey.export({ type: 'pkcs1', format: 'pem' }))
  const tokens = join(directory, 'tokens.csv')
  await writeFile(tokens, `${TOKEN},admin,admin,system:masters\n`)
  const certificate = join(certificates, 'apiserver.crt')
  const args = [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${certificates}`,
    `--token-auth-file=${tokens}`,
    '--authorization-mode=AlwaysAllow',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${key}`,
    `--service-account-signing-key-file=${key}`,
    // Nobody makes service accounts here, nor endpoints.
    '--disable-admission-plugins=ServiceAccount',
    '--endpoint-reconciler-type=none',
  ]
  let api: KubernetesApi | undefined
  const ready = async (): Promise<boolean> => {
    const ca = await readFile(certificate, 'utf8').catch(() => '')
    if (ca === '') return false
    const client = new KubernetesApi(port, TOKEN, ca)
    const isUp = await client.has('/api/v1/namespaces/default').catch(() => false)
    if (isUp) api = client
    return isUp
  }
  await start(new Daemon({ program, args, cwd: directory, ready }))
  if (api === undefined) throw new Error('the API server was ready without a client')
  return { api, certificate }
}

function kubeconfig(port: number, certificate: string): string {
  // JSON is YAML too.
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'test', cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority': certificate } },
    ],
    users: [{ name: 'admin', user: { token: TOKEN } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  })
}
