import { expect, test } from 'vitest'
import {
  capabilityNames,
  defaultCapabilities,
  parseCapabilities,
} from '../../../../src/settings/values/capability.ts'

test('the default set is the one that systemd-nspawn keeps', () => {
  const mask = defaultCapabilities().reduce(
    (bits, name) => bits | (1n << BigInt(capabilityNames.indexOf(name))),
    0n,
  )
  expect(mask).toBe(0xfdecafffn)
})

test.each<[string, readonly string[]]>([
  ['CAP_NET_ADMIN', ['CAP_NET_ADMIN']],
  ['cap_Net_admin,CAP_MKNOD', ['CAP_NET_ADMIN', 'CAP_MKNOD']],
  ['12', ['CAP_NET_ADMIN']],
  ['0x28', ['CAP_CHECKPOINT_RESTORE']],
  ['12,CAP_NET_ADMIN,', ['CAP_NET_ADMIN']],
  ['', []],
  [',', []],
  ['all', capabilityNames],
  ['all,cap_mknod', capabilityNames],
])('"%s" means %j', (text, names) => {
  expect(parseCapabilities(text)).toEqual(names)
})

test.each(['net_admin', 'bogus', 'ALL', 'CAP_NET_ADMIN CAP_MKNOD', '-1', '64', '41'])(
  '"%s" is refused',
  (text) => {
    expect(() => parseCapabilities(text)).toThrow(`there is no capability "${text}"`)
  },
)

test('a forgotten prefix is suggested', () => {
  expect(() => parseCapabilities('net_admin')).toThrow(
    expect.objectContaining({ hint: 'did you mean CAP_NET_ADMIN?' }),
  )
})
