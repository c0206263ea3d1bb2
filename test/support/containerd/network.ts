/** What containerd's CRI needs for pods with a network of their own, and to pull without a network. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * A network plugin (CNI specification 1.0.0, section 2) that brings the loopback device up and makes up an address: pods that only
 * talk to themselves need no more, and nothing of the machine's own network changes.
 */
const PLUGIN = `#!/bin/sh
case "$CNI_COMMAND" in
VERSION)
  echo '{"cniVersion":"1.0.0","supportedVersions":["0.3.1","0.4.0","1.0.0"]}'
  ;;
ADD)
  nsenter --net="$CNI_NETNS" /bin/busybox ip link set lo up || exit 1
  echo '{"cniVersion":"1.0.0","interfaces":[{"name":"'"$CNI_IFNAME"'","sandbox":"'"$CNI_NETNS"'"}],
    "ips":[{"address":"192.0.2.2/24","interface":0}]}'
  ;;
esac
`
const NETWORK = { cniVersion: '1.0.0', name: 'lone', plugins: [{ type: 'lone' }] }

/** Writes the plugin and the network's configuration. containerd itself calls the plugin `loopback` first. */
export async function writeLoneNetwork(places: { plugins: string; networks: string }): Promise<void> {
  await mkdir(places.plugins, { recursive: true })
  await mkdir(places.networks, { recursive: true })
  for (const name of ['loopback', 'lone']) await writeFile(join(places.plugins, name), PLUGIN, { mode: 0o755 })
  await writeFile(join(places.networks, '10-lone.conflist'), JSON.stringify(NETWORK))
}

/** Writes the `hosts.toml` by which all pulls go to one registry. */
export async function writeMirror({ hosts }: { hosts: string }, mirror: string): Promise<void> {
  await mkdir(join(hosts, '_default'), { recursive: true })
  await writeFile(
    join(hosts, '_default', 'hosts.toml'),
    `server = "http://${mirror}"\n[host."http://${mirror}"]\n  capabilities = ["pull", "resolve"]\n`,
  )
}
