import { expect, test } from 'vitest'
import { nameOf } from '../../../functions/runner/images/source-name.ts'
import { smallImage } from '../unpack/support/images.ts'

test('a source without a name is called after its path, whatever that looks like', () => {
  const target = smallImage().manifest
  const name = (spec: string) => nameOf({ spec, target, reference: undefined })
  expect(name('oci:/a/b.c')).toBe(`localhost/b-c@${target.digest}`)
  expect(name('oci-archive:/a/img.tar')).toBe(`localhost/img@${target.digest}`)
  expect(name('oci-archive:/a/img.tar:v1')).toBe(`localhost/img@${target.digest}`)
  expect(name('oci:/')).toBe(`localhost/image@${target.digest}`)
  expect(name('oci:./ÄÖ__')).toBe(`localhost/image@${target.digest}`)
})
