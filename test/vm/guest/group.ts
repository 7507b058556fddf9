/** Cases that run in the machine. The host reads only their titles. */

export interface GuestCase {
  readonly title: string
  readonly run: () => Promise<void>
}

export interface CaseGroup {
  readonly name: string
  readonly cases: readonly GuestCase[]
}

type Declare = (title: string, run: () => Promise<void>) => void

/**
 * Declares the cases of a file. They run one after the other, in this order.
 *
 * @param name how the command line of `npm run vm` calls them
 * @param declare nothing but declarations: it is called on the host, too
 */
export function group(name: string, declare: (test: Declare) => void): CaseGroup {
  const cases: GuestCase[] = []
  declare((title, run) => cases.push({ title, run }))
  return { name, cases }
}

/** What several cases need is made by the first of them. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}
