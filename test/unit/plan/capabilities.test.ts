import { describe, expect, test } from 'vitest'
import {
  NO_CAPABILITIES,
  capabilityMask,
  capabilitySets,
  hasCapability,
  keptCapabilities,
  namesInMask,
  type CapabilityFacts,
} from '../../../src/plan/capabilities.ts'
import { capabilityNames } from '../../../src/settings/values/capability.ts'

const NOTHING = { add: [], drop: [], ambient: [] }
const HOST: CapabilityFacts = {
  userNamespace: false,
  privateNetwork: false,
  hostBounding: '000001ffffffffff',
}

function kept(
  capabilities: { add?: string[]; drop?: string[] },
  facts: Partial<CapabilityFacts> = {},
) {
  return keptCapabilities({ capabilities: { ...NOTHING, ...capabilities } }, { ...HOST, ...facts })
    .kept
}

describe('a set', () => {
  test('and the names in it are inverse', () => {
    expect(capabilityMask(['CAP_CHOWN', 'CAP_SYSLOG', 'CAP_SETGID'])).toBe('0000000400000041')
    expect(namesInMask('0000000400000041')).toEqual(['CAP_CHOWN', 'CAP_SETGID', 'CAP_SYSLOG'])
    expect(capabilityMask(capabilityNames)).toBe('000001ffffffffff')
    expect(namesInMask('0000020000000000')).toEqual(['41'])
    expect(hasCapability('0000000000000040', 'CAP_SETGID')).toBe(true)
    expect(hasCapability('0000000000000040', 'CAP_CHOWN')).toBe(false)
  })

  test('has no capability that does not exist', () => {
    expect(() => capabilityMask(['CAP_NOTHING'])).toThrow('unknown capability CAP_NOTHING')
  })
})

describe('what a container keeps', () => {
  test('is the default set', () => {
    expect(kept({})).toBe('00000000fdecafff')
  })

  test('has NET_ADMIN with a private network', () => {
    expect(kept({}, { privateNetwork: true })).toBe('00000000fdecbfff')
    expect(kept({}, { privateNetwork: true, userNamespace: true })).toBe('00000000fdecbfff')
  })

  test('loses NET_BIND_SERVICE with users of its own on the network of the host', () => {
    expect(kept({}, { userNamespace: true })).toBe('00000000fdecabff')
    expect(kept({ add: ['CAP_NET_BIND_SERVICE'] }, { userNamespace: true })).toBe(
      '00000000fdecabff',
    )
  })

  test('drops after it adds, NET_ADMIN of a private network included', () => {
    const drop = ['CAP_NET_ADMIN', 'CAP_SYSLOG']
    expect(kept({ add: ['CAP_SYSLOG'], drop }, { privateNetwork: true })).toBe('00000000fdecafff')
    expect(kept({ drop: [...capabilityNames] })).toBe(NO_CAPABILITIES)
    expect(kept({ add: [...capabilityNames], drop: ['CAP_SYS_ADMIN'] })).toBe('000001ffffdfffff')
  })

  test('is no more than the runtime has itself, and says what is missing', () => {
    const facts = { ...HOST, hostBounding: '00000000fcecafff' }
    const result = keptCapabilities(
      { capabilities: { ...NOTHING, add: [...capabilityNames] } },
      HOST,
    )
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
