import { expect, test } from 'vitest'
import { choosePackages, type SetRequest } from '../../../../src/bootstrap/debian/package-set.ts'
import { inBatches, inOrder } from '../../../../src/bootstrap/debian/order.ts'
import { indexOf } from './packages.ts'

const index = indexOf(
  {
    packages: {
      'base=1': { Essential: 'yes', Priority: 'required', 'Pre-Depends': 'libc' },
      libc: {},
      apt: { Priority: 'important' },
      mount: { Priority: 'required', Depends: 'libmount' },
      libmount: {},
      'build-essential': { Depends: 'gcc' },
      gcc: {},
      editor: { Priority: 'standard' },
      shell: { Provides: 'sh' },
      mta1: { Provides: 'mta' },
      mta2: { Provides: 'mta' },
    },
  },
  // What another suite says of priorities counts for nothing.
  {
    packages: {
      'base=2': { Essential: 'yes', 'Pre-Depends': 'libc' },
      'gcc=2': { Priority: 'required' },
    },
  },
)

const choose = (request: Partial<SetRequest>) => {
  const all = {
    variant: 'minbase',
    include: [],
    exclude: [],
    packageArchitecture: 'amd64',
    ...request,
  }
  const { essential, others, automatic } = choosePackages(index, all)
  const names = (list: typeof others) => list.map(({ name }) => name).toSorted()
  return {
    essential: names(essential),
    others: names(others),
    automatic: [...automatic].toSorted(),
  }
}

test.each([
  ['essential', ['base', 'libc'], []],
  ['apt', ['apt', 'base', 'libc'], []],
  ['minbase', ['base', 'libc'], ['libmount', 'mount']],
  ['buildd', ['base', 'libc'], ['build-essential', 'gcc', 'libmount', 'mount']],
  ['important', ['base', 'libc'], ['apt', 'libmount', 'mount']],
  ['standard', ['base', 'libc'], ['apt', 'editor', 'libmount', 'mount']],
])('variant %s has what mmdebstrap has in it', (variant, essential, others) => {
  expect(choose({ variant })).toMatchObject({ essential, others })
})

test('what nobody asked for is marked as automatic', () => {
  expect(choose({ include: ['gcc'] })).toMatchObject({
    others: ['gcc', 'libmount', 'mount'],
    automatic: ['libmount'],
  })
})

test('a package that is left out is not chosen by its priority', () => {
  expect(choose({ exclude: ['mount'] }).others).toEqual([])
})

test('a name that only one package provides stands for it, and one of several is a question', () => {
  expect(choose({ include: ['sh'] }).others).toContain('shell')
  expect(() => choose({ include: ['mta'] })).toThrow(
    expect.objectContaining({ code: 'BOOTSTRAP_PACKAGE', hint: 'choose one: mta1, mta2' }),
  )
})

test('an unknown package is told with the one that was meant, a foreign one as foreign', () => {
  expect(() => choose({ include: ['editro'] })).toThrow(
    expect.objectContaining({ code: 'BOOTSTRAP_PACKAGE', hint: 'did you mean editor?' }),
  )
  expect(() => choose({ include: ['gcc:arm64'] })).toThrow('the tree is for amd64 alone')
  expect(choose({ include: ['gcc:amd64'] }).others).toContain('gcc')
})

test('packages come after those that they need, circles and all', () => {
  const some = indexOf({
    packages: { a: { Depends: 'z, y' }, b: { 'Pre-Depends': 'a' }, y: { Depends: 'a' }, z: {} },
  })
  const all = ['b', 'y', 'z', 'a'].map((name) => some.candidate(name)!)
  expect(inOrder(all, some).map(({ name }) => name)).toEqual(['z', 'y', 'a', 'b'])
})

test('what a package pre-depends on is configured in a batch before it', () => {
  const some = indexOf({
    packages: {
      a: { 'Pre-Depends': 'b', Depends: 'base' },
      b: { Depends: 'c' },
      c: {},
      d: { Depends: 'a' },
      base: {},
      x: { 'Pre-Depends': 'y' },
      y: { 'Pre-Depends': 'x' },
    },
  })
  const take = (names: string) => Array.from(names, (name) => some.candidate(name)!)
  const batches = inBatches(take('abcd'), [some.candidate('base')!], some)
  expect(batches.map((batch) => batch.map(({ name }) => name).join(''))).toEqual(['bc', 'ad'])
  expect(() => inBatches(take('xy'), [], some)).toThrow('configured before each other')
})

test('variant buildd cannot be made from an archive without build-essential', () => {
  const small = indexOf({ packages: { base: { Essential: 'yes' } } })
  const request = { include: [], exclude: [], packageArchitecture: 'amd64' }
  expect(() => choosePackages(small, { variant: 'buildd', ...request })).toThrow(
    expect.objectContaining({ code: 'BOOTSTRAP_PACKAGE', subject: 'build-essential' }),
  )
})
