import { describe, expect, test } from 'vitest'
import {
  ALL_CAPABILITIES,
  DEFAULT_CAPABILITIES,
  NO_CAPABILITIES,
  capabilityMask,
  capabilityNames,
  capabilityNumber,
  capabilitySets,
  hasCapability,
  keptCapabilities,
  type CapabilityFacts,
} from '../../../src/plan/capabilities.ts'

const NOTHING = { add: [], drop: [], ambient: [] }
const HOST: CapabilityFacts = {
  userNamespace: false,
  shift: 0,
  privateNetwork: false,
  hostBounding: '000001ffffffffff',
}

function kept(
  capabilities: Partial<typeof NOTHING> | { add?: string[]; drop?: string[] },
  facts: Partial<CapabilityFacts> = {},
) {
  return keptCapabilities({ capabilities: { ...NOTHING, ...capabilities } }, { ...HOST, ...facts })
    .kept
}

describe('names', () => {
  test('are read in any letter case, or as numbers', () => {
    expect(capabilityNumber('CAP_NET_ADMIN')).toBe(12)
    expect(capabilityNumber('cap_net_admin')).toBe(12)
    expect(capabilityNumber('CAP_CHECKPOINT_RESTORE')).toBe(40)
    expect(capabilityNumber('12')).toBe(12)
    expect(capabilityNumber('62')).toBe(62)
  })

  test('that are none are told', () => {
    for (const text of ['NET_ADMIN', 'CAP_NOTHING', '63', '-1', '', '1e1', ' 1']) {
      expect(capabilityNumber(text), text).toBeUndefined()
    }
    expect(() => capabilityMask(['CAP_NOTHING'])).toThrow('unknown capability CAP_NOTHING')
  })

  test('and masks are inverse', () => {
    expect(capabilityMask(['CAP_CHOWN', 'cap_syslog', '63'.slice(0, 1)])).toBe('0000000400000041')
    expect(capabilityNames('0000000400000041')).toEqual(['CAP_CHOWN', 'CAP_SETGID', 'CAP_SYSLOG'])
    expect(capabilityNames('0000020000000000')).toEqual(['41'])
    expect(capabilityMask(['all'])).toBe(ALL_CAPABILITIES)
    expect(hasCapability('0000000000000040', 'CAP_SETGID')).toBe(true)
    expect(hasCapability('0000000000000040', 'CAP_CHOWN')).toBe(false)
  })
})

describe('what a container keeps', () => {
  test('is the default set', () => {
    expect(DEFAULT_CAPABILITIES).toHaveLength(26)
    expect(kept({})).toBe('00000000fdecafff')
  })

  test('has NET_ADMIN with a private network', () => {
    expect(kept({}, { privateNetwork: true })).toBe('00000000fdecbfff')
    expect(kept({}, { privateNetwork: true, userNamespace: true, shift: 65536 })).toBe(
      '00000000fdecbfff',
    )
  })

  test('loses NET_BIND_SERVICE with shifted users on the network of the host', () => {
    expect(kept({}, { userNamespace: true, shift: 65536 })).toBe('00000000fdecabff')
    expect(kept({ add: ['CAP_NET_BIND_SERVICE'] }, { userNamespace: true, shift: 65536 })).toBe(
      '00000000fdecabff',
    )
    expect(kept({}, { userNamespace: true, shift: 0 })).toBe('00000000fdecafff')
  })

  test('drops after it adds, NET_ADMIN of a private network included', () => {
    const drop = ['CAP_NET_ADMIN', 'CAP_SYSLOG']
    expect(kept({ add: ['CAP_SYSLOG'], drop }, { privateNetwork: true })).toBe('00000000fdecafff')
    expect(kept({ drop: ['all'] })).toBe(NO_CAPABILITIES)
    expect(kept({ add: ['all'], drop: ['CAP_SYS_ADMIN'] })).toBe('000001ffffdfffff')
  })

  test('is no more than the runtime has itself, and says what is missing', () => {
    const facts = { ...HOST, hostBounding: '00000000fcecafff' }
    const result = keptCapabilities({ capabilities: { ...NOTHING, add: ['all'] } }, HOST)
    expect(result).toEqual({ kept: '000001ffffffffff', missing: [] })
    expect(keptCapabilities({ capabilities: NOTHING }, facts)).toEqual({
      kept: '00000000fcecafff',
      missing: ['CAP_SYS_RESOURCE'],
    })
  })
})

describe('the sets of the payload', () => {
  const KEPT = '00000000fdecafff'

  test('are all the kept ones for root', () => {
    expect(capabilitySets(KEPT, [], 'root')).toEqual({
      bounding: KEPT,
      effective: KEPT,
      permitted: KEPT,
      inheritable: KEPT,
      ambient: NO_CAPABILITIES,
    })
  })

  test('are only the ambient ones for another user', () => {
    expect(capabilitySets(KEPT, ['CAP_CHOWN'], 'other-user')).toEqual({
      bounding: KEPT,
      effective: NO_CAPABILITIES,
      permitted: '0000000000000001',
      inheritable: '0000000000000001',
      ambient: '0000000000000001',
    })
  })
})
