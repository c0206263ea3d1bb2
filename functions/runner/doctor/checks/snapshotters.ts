/** Checks of the daemon's snapshotters and CRI plugins: listed, ready, answering; and of the erofs differ. */
import { isAtLeast } from '../../../node/daemon-version.ts'
import { handlersOf, parallelUnpackers, snapshotterPlugins, snapshottersInUse, type Check } from '../finding.ts'
import { DIFFER } from '../names.ts'

/** The daemon has no snapshotter of a name that CRI uses. */
export const snapshotterMissing: Check = (facts) => {
  const there = snapshotterPlugins(facts).map(({ id }) => id)
  return snapshottersInUse(facts)
    .filter((name) => !there.includes(name))
    .map((name) => ({
      code: 'SNAPSHOTTER_MISSING',
      severity: 'error',
      what: `${name} (${handlersOf(facts, name)}) is none of the daemon's snapshotters: ${there.join(', ') || 'it has none'}`,
      fix: `Configure [proxy_plugins.${name}] with type = "snapshot" and its socket, or name a snapshotter that is there.`,
    }))
}

/** A snapshotter is listed and not ready, with the daemon's own words. */
export const snapshotterNotReady: Check = (facts) => {
  const used = snapshottersInUse(facts)
  return snapshotterPlugins(facts)
    .filter(({ error }) => error !== undefined)
    .map(({ id, error = '' }) => ({
      code: 'SNAPSHOTTER_NOT_READY',
      severity: used.includes(id) ? 'error' : 'note',
      what: `snapshotter ${id} is listed but not ready: ${error}`,
      fix: used.includes(id)
        ? `Mend what the daemon says and restart it: ${handlersOf(facts, id)} cannot start containers.`
        : 'Nothing, as long as no handler names it.',
    }))
}

/** No process answers at a proxy plugin's socket. */
export const proxySocketDead: Check = ({ proxies }) =>
  proxies
    .filter(({ error }) => error !== undefined)
    .map(({ name, type, address, error = '' }) => ({
      code: 'PROXY_SOCKET_DEAD',
      severity: 'error',
      what: `nobody answers for the ${type} proxy plugin ${name} at ${address}: ${error}`,
      fix: `Start ${name}'s daemon, or mend the address in [proxy_plugins.${name}].`,
    }))

const UTILS = 'Install erofs-utils 1.8 or later (mkfs.erofs --tar)'
const ORDER = 'default = ["erofs", "walking"] under [plugins."io.containerd.service.v1.diff-service"]'
const MEANWHILE =
  'until then run layercast unpack before pods start. Find chains already unpacked wrongly with layercast verify --all --snapshotter erofs --deep.'

/** Without the erofs differ, a layer is converted at Commit, and parallel mode brings deleted files back (containerd/FACTS.md section 10). */
export const erofsWithoutDiffer: Check = (facts) => {
  const ready = snapshotterPlugins(facts).some(({ id, error }) => id === 'erofs' && error === undefined)
  if (!ready) return []
  const differ = facts.plugins.find(({ type, id }) => type === DIFFER && id === 'erofs')
  if (differ !== undefined && differ.error === undefined) return []
  const who = parallelUnpackers(facts)
  const bites = who !== undefined && snapshottersInUse(facts).includes('erofs')
  return [
    {
      code: 'EROFS_WITHOUT_DIFFER',
      severity: bites ? 'error' : 'note',
      what:
        `the erofs snapshotter is ready and its differ is not${differ?.error === undefined ? '' : ` (${differ.error})`}: ` +
        `containerd's parallel mode then loses whiteouts, so files that an upper layer deletes come back; in that mode unpacks: ${who ?? 'nobody here'}`,
      fix: bites
        ? `${UTILS}, set ${ORDER}, and restart containerd; ${MEANWHILE}`
        : `${UTILS}, and set ${ORDER}, before a runtime handler uses erofs.`,
    },
  ]
}

/**
 * The erofs differ is ready, but the diff service, with which CreateContainer unpacks, does not ask it first; by default it asks the
 * walking differ only. The result is as without the erofs differ.
 */
export const erofsDifferUnused: Check = (facts) => {
  if (!snapshottersInUse(facts).includes('erofs') || !isAtLeast(facts.daemon, '2.2.2')) return []
  const differ = facts.plugins.find(({ type, id }) => type === DIFFER && id === 'erofs')
  if (differ === undefined || differ.error !== undefined) return []
  const { differs = ['walking'] } = facts.config
  if (differs[0] === 'erofs') return []
  return [
    {
      code: 'EROFS_DIFFER_UNUSED',
      severity: 'error',
      what:
        `the erofs differ is ready, and the diff service goes by ${differs.join(', ') || 'none'}: containerd's parallel mode then loses ` +
        `whiteouts under erofs (${handlersOf(facts, 'erofs')}), so files that an upper layer deletes come back; in that mode unpacks: CreateContainer, for an image that is not unpacked yet`,
      fix: `Set ${ORDER} and restart containerd; ${MEANWHILE}`,
    },
  ]
}

const CRI = /^io\.containerd\.(grpc\.v1\.cri|cri\.v1\.(images|runtime)|transfer\.v1\.local)$/

/** CRI, or a plugin that it needs, did not start, so the kubelet cannot use the daemon; with the daemon's own words. */
export const criNotReady: Check = ({ plugins, config }) =>
  plugins
    .map(({ type, id, error }) => ({ uri: `${type}.${id}`, error }))
    .filter(({ uri, error }) => error !== undefined && CRI.test(uri) && !config.disabledPlugins.includes(uri))
    .map(({ uri, error = '' }) => ({
      code: 'CRI_NOT_READY',
      severity: 'error',
      what: `${uri} did not start: ${error}`,
      fix: 'Mend what the daemon says in its configuration and restart it.',
    }))
