// What the core exports to its host, and nothing else does.
export { inputRoom, supply, inputLimit, outputFrom, outputTo, keepViews } from './stream'
export { gzipStart, gzipStep } from './gzip'
export { zstdStart, zstdStep } from './zstd/frame'
export { shaStart, shaBlocks, laneStart, laneRun } from './sha256'
export { chainBatch } from './chain'
export { crc32 } from './crc32'
import { INPUT, LANE_STATE, LITERALS, SHA_STATE, WINDOW } from './layout'

export function inputAddress(): usize {
  return INPUT
}
export function shaStateAddress(): usize {
  return SHA_STATE
}
export function laneStateAddress(): usize {
  return LANE_STATE
}
export function lengthsAddress(): usize {
  return LITERALS
}
export function windowAddress(): usize {
  return WINDOW
}
