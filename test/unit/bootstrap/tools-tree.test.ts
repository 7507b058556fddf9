import { expect, test } from 'vitest'
import debian from '../../../recipes/debian.ts'
import { planTree } from '../../../src/bootstrap/plan.ts'
import { strategiesOf } from '../../../src/bootstrap/strategies.ts'
import { toolsTreeRequest } from '../../../src/bootstrap/tools-tree.ts'
import { bootstrapHost } from '../../fixtures/bootstrap-host.ts'

const bare = bootstrapHost({
  osId: 'fedora',
  findProgram: () => undefined,
  hasFile: () => false,
})

test('a strategy in a tree of tools needs nothing of the host, not even a keyring', () => {
  const plan = planTree({ recipe: 'debian' }, debian, bare, strategiesOf(debian), '/m')
  const obstacles = strategiesOf(debian).map(({ id, obstacle }) => [
    id,
    obstacle(plan, bare)?.reason,
  ])
  expect(Object.fromEntries(obstacles)).toMatchObject({
    mmdebstrap: 'mmdebstrap is not installed',
    'tools:mmdebstrap': undefined,
    'tools:debootstrap': undefined,
  })
})

test('a tool that lacks what was asked for lacks it in a tree of tools, too', () => {
  const request = { recipe: 'debian', variant: 'essential', via: 'tools:debootstrap' }
  expect(() => planTree(request, debian, bare, strategiesOf(debian), '/m')).toThrow(
    'no variant essential',
  )
})

test('trees of tools with other packages have other hidden names', () => {
  const names = [['dnf'], ['dnf', 'rpm'], ['zypper']].map(
    (packages) => toolsTreeRequest(packages).name,
  )
  expect(new Set(names).size).toBe(3)
  for (const name of names) expect(name).toMatch(/^\.tools-(dnf|zypper)-[0-9a-f]{8}$/)
})
