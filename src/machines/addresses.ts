/**
 * The addresses of a machine, from the kernel's own tables: /proc/PID/net shows the network namespace of that process
 * without entering it (proc(5)).
 */
import { readFileSync, readlinkSync } from 'node:fs'
import { isIPv6 } from 'node:net'

/**
 * IPv4 before IPv6, wider scope first; loopback, link-local tentative and deprecated ones are left out.
 *
 * @param pid a process of the machine
 * @returns undefined when the machine has the host's network
 */
export function machineAddresses(pid: number): string[] | undefined {
  try {
    if (readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net')) return undefined
    return networkAddresses(pid)
  } catch (error) {
    // Over meanwhile, or not ours to look at.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ESRCH' || code === 'EINVAL')
      return undefined
    throw error
  }
}

/** The addresses that a process sees. */
export function networkAddresses(pid: number | 'self'): string[] {
  return [
    ...localIPv4(readFileSync(`/proc/${pid}/net/fib_trie`, 'latin1')),
    ...globalIPv6(readTable(`/proc/${pid}/net/if_inet6`)),
  ]
}

/** A kernel without IPv6 has no such table. */
function readTable(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return ''
  }
}

/** The addresses below which /proc/net/fib_trie says `/32 host LOCAL`. */
export function localIPv4(table: string): string[] {
  const found = new Set<string>()
  let address = ''
  for (const line of table.split('\n')) {
    const leaf = /\|-- (\S+)/.exec(line)
    if (leaf !== null) address = leaf[1] as string
    else if (/\/32 host LOCAL/.test(line) && !address.startsWith('127.')) found.add(address)
  }
  return [...found]
}

const SCOPE_HOST = 0x10
const SCOPE_LINK = 0x20
const [FLAG_DEPRECATED, FLAG_TENTATIVE] = [0x20, 0x40]

/** /proc/net/if_inet6: address, index, prefix length, scope and flags in hexadecimal, name. */
export function globalIPv6(table: string): string[] {
  return table
    .split('\n')
    .flatMap((line) => {
      const [digits, , , scopeText, flagsText] = line.trim().split(/\s+/)
      if (digits === undefined || scopeText === undefined || flagsText === undefined) return []
      const [scope, flags] = [Number.parseInt(scopeText, 16), Number.parseInt(flagsText, 16)]
      if (scope === SCOPE_HOST || (flags & (FLAG_DEPRECATED | FLAG_TENTATIVE)) !== 0) return []
      const address = compressIPv6(digits)
      return isIPv6(address) ? [{ address, rank: scope === SCOPE_LINK ? 1 : 0 }] : []
    })
    .toSorted((a, b) => a.rank - b.rank)
    .map(({ address }) => address)
}

/** 32 hexadecimal digits in the form of RFC 5952. */
function compressIPv6(digits: string): string {
  const groups = (digits.match(/.{4}/g) ?? []).map((group) => group.replace(/^0{1,3}/, ''))
  const runs = [...groups.join(':').matchAll(/(?:^|(?<=:))0(?::0)+(?=:|$)/g)]
  const longest = runs.toSorted((a, b) => b[0].length - a[0].length)[0]
  if (longest === undefined) return groups.join(':')
  const text = groups.join(':')
  const before = text.slice(0, longest.index).replace(/:$/, '')
  const after = text.slice(longest.index + longest[0].length).replace(/^:/, '')
  return `${before}::${after}`
}
