/** Findings that doctor and an unpack for a runtime handler give in the same words. */
import type { RuntimeHandler } from '../../node/containerd-config/config.ts'
import type { DaemonVersion } from '../../node/daemon-version.ts'
import type { Finding } from './finding.ts'
import { imageSection } from './names.ts'

/**
 * CRI sends no labels, and a snapshotter in use reads them.
 * @param options.who the runtime handlers that use it, for a sentence
 */
export function annotationsOffAdvice(options: { snapshotter: string; who: string; daemon: DaemonVersion }): Finding {
  const { snapshotter, who, daemon } = options
  return {
    code: 'ANNOTATIONS_OFF',
    severity: 'warning',
    what: `disable_snapshot_annotations is true (the default), and ${snapshotter} (${who}) reads the labels that it withholds`,
    fix: `Set disable_snapshot_annotations = false under [${imageSection(daemon.major)}] for what containerd itself pulls and unpacks; layercast's own unpacks carry the labels either way.`,
  }
}

/** A runtime handler names its own snapshotter, and the daemon ignores it. */
export function handlerIgnoredAdvice({ name, snapshotter, ignored }: RuntimeHandler, version: string): Finding {
  return {
    code: 'HANDLER_SNAPSHOTTER_IGNORED',
    severity: 'warning',
    what: `handler ${name} names snapshotter ${ignored}, which containerd ${version} passes over: it uses ${snapshotter} for all handlers`,
    fix: 'Upgrade to containerd 1.7 or later for a snapshotter per handler, or take the setting out.',
  }
}
