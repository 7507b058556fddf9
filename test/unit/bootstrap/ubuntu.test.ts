import { expect, test } from 'vitest'
import ubuntu from '../../../recipes/ubuntu.ts'
import { parseOneLine } from '../../../src/bootstrap/archives/apt-sources.ts'
import type { BootstrapHost } from '../../../src/bootstrap/host.ts'
import { planTree, type TreeRequest } from '../../../src/bootstrap/plan.ts'
import { strategiesOf } from '../../../src/bootstrap/strategies.ts'
import { bootstrapHost } from '../../fixtures/bootstrap-host.ts'

const host = bootstrapHost({
  emulated: ['arm64'],
  osId: 'debian',
  hasFile: () => false,
})

function plan(request: Omit<TreeRequest, 'recipe'> = {}, facts: Partial<BootstrapHost> = {}) {
  const full = { recipe: 'ubuntu', ...request }
  return planTree(full, ubuntu, { ...host, ...facts }, strategiesOf(ubuntu), '/machines')
}

test('without any wish it is the current long-term release, with updates, main and universe', () => {
  expect(plan()).toMatchObject({
    name: 'ubuntu-resolute',
    strategy: 'embedded',
    archive: {
      mirror: 'http://archive.ubuntu.com/ubuntu',
      components: ['main', 'universe'],
      extraSuites: [
        { suite: 'resolute-updates', mirror: 'http://archive.ubuntu.com/ubuntu' },
        { suite: 'resolute-security', mirror: 'http://security.ubuntu.com/ubuntu' },
      ],
    },
    osRelease: { id: 'ubuntu', codename: 'resolute', version: '26.04' },
  })
  expect(plan({ release: '22.04' }).release).toBe('jammy')
})

test('other architectures come from the mirror of ports, updates and security too', () => {
  const ports = 'http://ports.ubuntu.com/ubuntu-ports'
  const { archive } = plan({ architecture: 'arm64', release: 'noble' })
  expect(archive.mirror).toBe(ports)
  expect(archive.extraSuites.map(({ mirror }) => mirror)).toEqual([ports, ports])
  expect(archive.keptSources).toEqual([
    { uri: ports, suites: ['noble', 'noble-updates', 'noble-security'] },
  ])
})

test('the mirror of an Ubuntu host serves its own architecture only', () => {
  const aptSources = parseOneLine('deb http://near.example/ubuntu noble main universe')
  const facts = { osId: 'ubuntu', aptSources }
  expect(plan({}, facts).archive.mirror).toBe('http://near.example/ubuntu')
  const { archive } = plan({ architecture: 'arm64' }, facts)
  expect(archive.mirror).toBe('http://ports.ubuntu.com/ubuntu-ports')
})

test('tools without the keyring say where it comes from', () => {
  for (const via of ['mmdebstrap', 'debootstrap']) {
    expect(() => plan({ via })).toThrow(
      expect.objectContaining({
        code: 'BOOTSTRAP_IMPOSSIBLE',
        hint: 'install the package ubuntu-keyring, or name a keyring with --keyring',
      }),
    )
  }
})
