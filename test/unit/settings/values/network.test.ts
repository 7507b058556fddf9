import { describe, expect, test } from 'vitest'
import {
  addPort,
  parseExtraVeth,
  parseInterfaceName,
  parseLinks,
  parsePort,
  parseZone,
} from '../../../../src/settings/values/network.ts'

describe('links', () => {
  test('have a name outside, and may have one inside', () => {
    expect(parseLinks('eth0 eth1:x')).toEqual([
      { host: 'eth0', container: undefined },
      { host: 'eth1', container: 'x' },
    ])
    // An alternative name may be long; what it is called inside may not.
    expect(parseLinks(`${'a'.repeat(100)}:b`)).toHaveLength(1)
  })
  test.each(['', 'a:b:c', 'eth0:', ':x', 'a/b', `a:${'b'.repeat(16)}`, '12', '.', 'all'])(
    '"%s" is refused',
    (text) => {
      expect(() => parseLinks(text)).toThrow(expect.objectContaining({ code: 'USAGE' }))
    },
  )
})

test('an extra cable has the same name on both sides unless there is a good one', () => {
  expect(parseExtraVeth('a')).toEqual({ host: 'a', container: 'a' })
  expect(parseExtraVeth('a:b')).toEqual({ host: 'a', container: 'b' })
  expect(parseExtraVeth('a:b/c')).toEqual({ host: 'a', container: 'a' })
  expect(() => parseExtraVeth('a:b:c')).toThrow('more than two parts')
  expect(() => parseExtraVeth('')).toThrow('no name of an interface')
})

test('a zone has room for its prefix', () => {
  expect(parseZone('a12345678901')).toBe('vz-a12345678901')
  for (const text of ['', 'a123456789012', 'a b']) expect(() => parseZone(text)).toThrow('zone')
  expect(() => parseInterfaceName('a'.repeat(16))).toThrow('no name of an interface')
})

describe('ports', () => {
  test.each([
    ['80', 'tcp', 80, 80],
    ['80:8080', 'tcp', 80, 8080],
    ['tcp:80', 'tcp', 80, 80],
    ['udp:65535:1', 'udp', 65535, 1],
  ] as const)('%s', (text, protocol, hostPort, containerPort) => {
    expect(parsePort(text)).toEqual({ protocol, hostPort, containerPort })
  })
  test.each([
    '',
    '0',
    '65536',
    'sctp:80',
    '80:',
    ':80',
    'tcp:',
    '1:2:3',
    'tcp:80:81:82',
    '-1',
    '8 0',
  ])('"%s" is refused', (text) => {
    expect(() => parsePort(text)).toThrow('is no port')
  })
  test('one of the host leads to one place', () => {
    const ports = addPort([], parsePort('80'))
    expect(addPort(ports, parsePort('udp:80'))).toHaveLength(2)
    expect(() => addPort(ports, parsePort('80:81'))).toThrow('tcp port 80 is forwarded twice')
  })
})
