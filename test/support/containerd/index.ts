/** Private containerd daemons of several versions for the tests. */
export { all } from './all.ts'
export { describeContainerd } from './describe.ts'
export { startContainerd, type StartOptions, type TestContainerd } from './start.ts'
export { isAtLeast, matrix, NEWEST, nydusProgram, programs, type ContainerdVersion } from './versions.ts'
export { estargzImage, remoteProgram, withSociIndex, type Pushable, type RemoteSnapshotter } from './remote.ts'
