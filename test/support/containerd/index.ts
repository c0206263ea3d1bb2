/** Private containerd daemons of several versions for the tests. */
export { all } from './all.ts'
export { describeContainerd } from './describe.ts'
export { startContainerd, type StartOptions, type TestContainerd } from './start.ts'
export { isAtLeast, NEWEST, nydusProgram, programs } from './versions.ts'
