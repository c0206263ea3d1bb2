/** Every route of the API, by the name of its operation. The API mounts these and no others. */
import { createAssignment, listAssignments, removeAssignment } from './assignments.ts'
import { getImage, storeImage } from './images.ts'
import { createJoinToken, listJoinTokens, revokeJoinToken } from './join-tokens.ts'
import { enrolNode, getNode, listNodes, putFacts, removeNode } from './nodes.ts'
import { getOwnAssignment, postReport } from './own-node.ts'
import { createPlans, getPlan } from './plans.ts'
import { healthz, listSnapshotters, openapi } from './service.ts'

export const ROUTES = {
  healthz,
  openapi,
  listSnapshotters,
  createPlans,
  getPlan,
  storeImage,
  getImage,
  createJoinToken,
  listJoinTokens,
  revokeJoinToken,
  enrolNode,
  listNodes,
  getNode,
  removeNode,
  putFacts,
  createAssignment,
  listAssignments,
  removeAssignment,
  getOwnAssignment,
  postReport,
}
