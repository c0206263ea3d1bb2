/** The list of verbs, which the program is started with. */

import type { Verb } from './program/verb.ts'
import { agentVerb } from './verbs/agent.ts'
import { applyVerb } from './verbs/apply.ts'
import { assignVerb } from './verbs/assign.ts'
import { assignmentLsVerb } from './verbs/assignment-ls.ts'
import { assignmentRmVerb } from './verbs/assignment-rm.ts'
import { contentCheckVerb } from './verbs/content-check.ts'
import { contentLsVerb } from './verbs/content-ls.ts'
import { contentRmVerb } from './verbs/content-rm.ts'
import { criProxyVerb } from './verbs/cri-proxy.ts'
import { doctorVerb } from './verbs/doctor.ts'
import { imageImportVerb } from './verbs/image-import.ts'
import { imageLsVerb } from './verbs/image-ls.ts'
import { joinTokenCreateVerb } from './verbs/join-token-create.ts'
import { joinTokenLsVerb } from './verbs/join-token-ls.ts'
import { joinTokenRevokeVerb } from './verbs/join-token-revoke.ts'
import { nodeLsVerb } from './verbs/node-ls.ts'
import { nodeRmVerb } from './verbs/node-rm.ts'
import { planVerb } from './verbs/plan.ts'
import { repairVerb } from './verbs/repair.ts'
import { rootRebuildVerb } from './verbs/root-rebuild.ts'
import { serveVerb } from './verbs/serve.ts'
import { snapshotLsVerb } from './verbs/snapshot-ls.ts'
import { snapshotRmVerb } from './verbs/snapshot-rm.ts'
import { snapshotTreeVerb } from './verbs/snapshot-tree.ts'
import { snapshotterLsVerb } from './verbs/snapshotter-ls.ts'
import { unpackVerb } from './verbs/unpack.ts'
import { verifyVerb } from './verbs/verify.ts'
import { versionVerb } from './verbs/version.ts'

/** Every verb there is, in the order in which the help lists them. */
export const VERBS: readonly Verb[] = [
  unpackVerb,
  planVerb,
  applyVerb,
  verifyVerb,
  repairVerb,
  imageLsVerb,
  imageImportVerb,
  contentLsVerb,
  contentCheckVerb,
  contentRmVerb,
  snapshotLsVerb,
  snapshotTreeVerb,
  snapshotRmVerb,
  snapshotterLsVerb,
  rootRebuildVerb,
  criProxyVerb,
  doctorVerb,
  versionVerb,
  serveVerb,
  joinTokenCreateVerb,
  joinTokenLsVerb,
  joinTokenRevokeVerb,
  agentVerb,
  assignVerb,
  assignmentLsVerb,
  assignmentRmVerb,
  nodeLsVerb,
  nodeRmVerb,
]
