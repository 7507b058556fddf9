/** Images that are not ours to change: the host's own tree, what came with the system, and device nodes. */
import { NspawnError } from '../errors.ts'
import type { Image } from './discover.ts'

/** Whether the image may be seen and copied, but not changed. */
export function isForeign(image: Image): boolean {
  return image.vendor || image.path === '/' || image.path.startsWith('/dev/')
}

/** @throws NspawnError `EROFS` for such an image */
export function refuseForeign(image: Image, verb: string): void {
  if (!isForeign(image)) return
  throw new NspawnError(`image ${image.name} is not ours to ${verb}`, {
    code: 'EROFS',
    operation: `${verb} image`,
    subject: image.path,
  })
}
