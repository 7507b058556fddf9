import { expect, test } from 'vitest'
import {
  hostMirrors,
  parseDeb822,
  parseOneLine,
} from '../../../../src/bootstrap/archives/apt-sources.ts'

const releases = ['trixie', 'stable']

test('one-line sources are read with their options, and comments are not', () => {
  const sources = parseOneLine(
    [
      '# deb http://old.example/debian trixie main',
      'deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie main contrib # ours',
      'deb-src http://mirror.example/debian trixie main',
    ].join('\n'),
  )
  expect(sources).toEqual([
    {
      types: ['deb'],
      uris: ['http://mirror.example/debian'],
      suites: ['trixie'],
      components: ['main', 'contrib'],
      signedBy: '/k.gpg',
    },
    {
      types: ['deb-src'],
      uris: ['http://mirror.example/debian'],
      suites: ['trixie'],
      components: ['main'],
      signedBy: undefined,
    },
  ])
})

test('a deb822 stanza goes on over comments and continuation lines, and a disabled one is left out', () => {
  const sources = parseDeb822(
    [
      'Types: deb',
      '# a note',
      'URIs: http://mirror.example/debian',
      'Suites: trixie',
      ' trixie-updates',
      'Components: main',
      '',
      'Types: deb',
      'URIs: http://off.example/debian',
      'Suites: trixie',
      'Components: main',
      'Enabled: no',
    ].join('\n'),
  )
  expect(sources.map(({ uris, suites }) => [uris, suites])).toEqual([
    [['http://mirror.example/debian'], ['trixie', 'trixie-updates']],
  ])
})

test('the archive is told from its security suites and from third parties', () => {
  const sources = parseOneLine(
    [
      'deb http://vendor.example/apt stable main',
      'deb http://sec.example/debian-security trixie-security main',
      'deb http://mirror.example/debian/ trixie main',
    ].join('\n'),
  )
  expect(hostMirrors(sources, releases)).toEqual({
    main: 'http://mirror.example/debian',
    security: 'http://sec.example/debian-security',
  })
})

test('a host without sources of the distribution names no mirror', () => {
  const sources = parseOneLine('deb http://vendor.example/apt nodistro main')
  expect(hostMirrors(sources, releases)).toEqual({ main: undefined, security: undefined })
})

test('a source that only apt can read names no mirror', () => {
  const sources = parseOneLine(
    [
      'deb mirror+file:/etc/apt/mirrors/debian.list trixie main',
      'deb mirror+file:/etc/apt/mirrors/security.list trixie-security main',
      'deb file:/srv/debian trixie main',
    ].join('\n'),
  )
  expect(hostMirrors(sources, releases)).toEqual({ main: 'file:/srv/debian', security: undefined })
})
