import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openEmbedded } from '../../../functions/node/embedded/backend.ts'
import { applierConformance, own } from '../conformance/applier.ts'
import { contentConformance } from '../conformance/content.ts'
import { imagesConformance } from '../conformance/images.ts'
import { leasesConformance } from '../conformance/leases.ts'
import { snapshotContentConformance } from '../conformance/snapshot-content.ts'
import { snapshotterConformance } from '../conformance/snapshotter.ts'
import type { OpenBackend } from '../conformance/subject.ts'

const base = mkdtempSync(join(tmpdir(), 'layercast-embedded-'))
afterAll(() => rmSync(base, { recursive: true, force: true }))

const open: OpenBackend = () => openEmbedded({ root: mkdtempSync(join(base, 'root-')) })

snapshotterConformance(open, 'overlayfs')
snapshotContentConformance(open, 'overlayfs')
applierConformance(open, 'overlayfs', { choose: own })
contentConformance(open)
leasesConformance(open)
imagesConformance(open)
