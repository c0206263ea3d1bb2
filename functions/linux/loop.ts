/** Loop devices (loop(4)): a file as a block device, for mounts with the option `loop`. */
import { closeSync } from 'node:fs'
import { LayercastError } from '../errors.ts'
import { AT_FDCWD, O_RDONLY, openAt } from './at.ts'
import { toByteString } from './bytes.ts'
import { bind, errno, must } from './libc.ts'

const ioctl = bind('int ioctl(int fd, unsigned long request, int64_t argument)')
const ioctlWith = bind('int ioctl(int fd, unsigned long request, const void *argument)')

const CONTROL = '/dev/loop-control'
const O_RDWR = 2
const LOOP_CTL_GET_FREE = 0x4c82
const LOOP_CONFIGURE = 0x4c0a // Linux 5.8
const LO_FLAGS_READ_ONLY = 1
const LO_FLAGS_AUTOCLEAR = 4

/**
 * Runs `fn` with the path of a loop device over the file. The kernel frees the device by itself once `fn` has returned and
 * nothing mounts it, so a mount that `fn` makes before it returns keeps it.
 * Errors: FAILED_PRECONDITION (no loop devices here), SYSTEM_CALL_FAILED, those of `fn`.
 */
export function withLoopDevice<T>(file: string, readOnly: boolean, fn: (device: string) => T): T {
  const mode = readOnly ? O_RDONLY : O_RDWR
  const backing = must(openAt(AT_FDCWD, toByteString(file), mode), 'openat2', file)
  try {
    const device = attach(backing, mode, readOnly)
    try {
      return fn(device.path)
    } finally {
      closeSync(device.fd)
    }
  } finally {
    closeSync(backing)
  }
}

// Another process may take the free device first: then the next one is asked for.
function attach(backing: number, mode: number, readOnly: boolean): { path: string; fd: number } {
  const control = openControl()
  try {
    for (let tries = 1; ; tries++) {
      const number = must(ioctl(control, LOOP_CTL_GET_FREE, 0), 'ioctl LOOP_CTL_GET_FREE', CONTROL)
      const path = `/dev/loop${number}`
      const fd = must(openAt(AT_FDCWD, path, mode), 'openat2', path)
      const result = ioctlWith(fd, LOOP_CONFIGURE, configuration(backing, readOnly))
      if (result >= 0) return { path, fd }
      closeSync(fd)
      if (result !== -errno.EBUSY || tries === 32) must(result, 'ioctl LOOP_CONFIGURE', path)
    }
  } finally {
    closeSync(control)
  }
}

function openControl(): number {
  const control = openAt(AT_FDCWD, CONTROL, O_RDWR)
  if (control !== -errno.ENOENT) return must(control, 'openat2', CONTROL)
  throw new LayercastError('FAILED_PRECONDITION', `there are no loop devices here: ${CONTROL} is missing`, {
    fix: 'Load the kernel module loop, and let the container have /dev/loop-control and /dev/loop*.',
  })
}

// struct loop_config of linux/loop.h: the file, a block size, and a struct loop_info64 of which only the flags are set.
function configuration(backing: number, readOnly: boolean): Buffer {
  const config = Buffer.alloc(304)
  config.writeUInt32LE(backing, 0)
  config.writeUInt32LE(LO_FLAGS_AUTOCLEAR | (readOnly ? LO_FLAGS_READ_ONLY : 0), 8 + 52)
  return config
}
