import { describe, expect, test } from 'vitest'
import { NspawnError } from '../../../../src/errors.ts'
import { parseBoolean } from '../../../../src/settings/values/boolean.ts'
import { addProcessors, processorNumbers } from '../../../../src/settings/values/cpu-list.ts'
import { parseAssignment } from '../../../../src/settings/values/environment-assignment.ts'
import { isMachineName } from '../../../../src/machine-name.ts'
import { parseId128 } from '../../../../src/settings/values/id128.ts'
import { parseInteger } from '../../../../src/settings/values/number.ts'
import {
  absolutePath,
  parseWorkingDirectory,
  simplifyPath,
} from '../../../../src/settings/values/path.ts'
import { parsePrivateUsers } from '../../../../src/settings/values/private-users.ts'
import { parseSignal } from '../../../../src/settings/values/signal.ts'
import { parseSize } from '../../../../src/settings/values/size.ts'
import { parseSlice } from '../../../../src/settings/values/slice.ts'
import { parseSystemCallFilter } from '../../../../src/settings/values/system-call-filter.ts'
import { parseTimeSpan } from '../../../../src/settings/values/time-span.ts'

describe('booleans', () => {
  test.each(['1', 'yes', 'y', 'true', 't', 'on', 'YES', 'On'])('%s is true', (word) => {
    expect(parseBoolean(word)).toBe(true)
  })
  test.each(['0', 'no', 'n', 'false', 'f', 'off', 'FALSE'])('%s is false', (word) => {
    expect(parseBoolean(word)).toBe(false)
  })
  test.each(['', '2', 'yess', ' yes', 'toString', '__proto__'])('"%s" is refused', (word) => {
    expect(() => parseBoolean(word)).toThrow('neither yes nor no')
  })
})

describe('whole numbers', () => {
  test.each<[string, bigint | undefined]>([
    ['0', 0n],
    ['-5', -5n],
    ['+5', 5n],
    [' 5', 5n],
    ['010', 8n],
    ['0x1f', 31n],
    ['0b101', 5n],
    ['0o17', 15n],
    ['18446744073709551616', 18446744073709551616n],
    ['', undefined],
    ['5 ', undefined],
    ['08', undefined],
    ['1.5', undefined],
    ['0x', undefined],
    ['--5', undefined],
  ])('"%s" is %s', (text, value) => {
    expect(parseInteger(text)).toBe(value)
  })
})

describe('sizes', () => {
  test.each<[string, bigint | undefined]>([
    ['0', 0n],
    ['1B', 1n],
    ['1K', 1024n],
    ['1 K', 1024n],
    ['1M', 1048576n],
    ['1.5G', 1610612736n],
    ['10.5K', 10752n],
    ['1M1K', 1049600n],
    ['1G 512M', 1610612736n],
    ['1E', 1n << 60n],
    ['15E', 15n << 60n],
    ['16E', undefined],
    ['1K1M', undefined],
    ['1K1K', undefined],
    ['1KB', undefined],
    ['1k', undefined],
    ['-1', undefined],
    ['', undefined],
    ['K', undefined],
  ])('"%s" is %s bytes', (text, value) => {
    expect(parseSize(text)).toBe(value)
  })
})

describe('time spans', () => {
  test.each<[string, 's' | 'us', number | undefined]>([
    ['1', 's', 1_000_000],
    ['1', 'us', 1],
    ['500ms', 's', 500_000],
    ['1.5h', 's', 5_400_000_000],
    ['.5s', 's', 500_000],
    ['5min30s', 's', 330_000_000],
    ['5min 30s', 's', 330_000_000],
    ['1d', 'us', 86_400_000_000],
    ['1M', 's', 2_629_800_000_000],
    ['1m', 's', 60_000_000],
    ['', 's', undefined],
    ['x', 's', undefined],
    ['1 fortnight', 's', undefined],
    ['1toString', 's', undefined],
    ['-1', 's', undefined],
    ['9999999999years', 's', undefined],
  ])('"%s" counted in %s is %s microseconds', (text, unit, value) => {
    expect(parseTimeSpan(text, unit)).toBe(value)
  })
})

describe('signals', () => {
  test.each<[string, number]>([
    ['TERM', 15],
    ['SIGTERM', 15],
    ['15', 15],
    ['0x9', 9],
    ['32', 32],
    ['RTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['RTMIN+30', 64],
    ['RTMAX', 64],
    ['RTMAX-30', 34],
    ['RTMAX-0', 64],
    ['STKFLT', 16],
    ['SYS', 31],
  ])('%s is %i', (text, number) => {
    expect(parseSignal(text)).toBe(number)
  })
  test.each([
    '0',
    '65',
    '-1',
    '',
    'term',
    'SIG9',
    'RTMIN+31',
    'RTMAX-31',
    'RTMIN-1',
    'RTMAX+1',
    'RTMIN+',
    'CLD',
  ])('"%s" is refused', (text) => {
    expect(() => parseSignal(text)).toThrow(`there is no signal "${text}"`)
  })
})

describe('host names', () => {
  test.each(['a', 'A1', 'a.b', 'a-b.c', 'x'.repeat(64), '1'])('%s is one', (text) => {
    expect(isMachineName(text)).toBe(true)
  })
  test.each(['', 'a_b', '-a', 'a-', 'a-.b', 'a..b', 'a.', '.a', 'x'.repeat(65), 'ä', 'a b', 'a\n'])(
    '"%s" is none',
    (text) => {
      expect(isMachineName(text)).toBe(false)
    },
  )
})

describe('UUIDs', () => {
  test.each([
    '00112233445566778899aabbccddeeff',
    '00112233445566778899AABBCCDDEEFF',
    '00112233-4455-6677-8899-aabbccddeeff',
  ])('%s becomes 32 lower-case digits', (text) => {
    expect(parseId128(text)).toBe('00112233445566778899aabbccddeeff')
  })
  test.each(['', 'x', '0011', '0011223344556677-8899aabbccddeeff', '0'.repeat(33)])(
    '"%s" is refused',
    (text) => {
      expect(() => parseId128(text)).toThrow('is not a UUID')
    },
  )
  test('all zeroes is refused', () => {
    expect(() => parseId128('0'.repeat(32))).toThrow('may not be all zeroes')
  })
})

describe('lists of processors', () => {
  test.each<[string, readonly number[] | undefined]>([
    ['0', [0]],
    ['0-3,7', [0, 1, 2, 3, 7]],
    ['7 0-1', [0, 1, 7]],
    ['0,,1', [0, 1]],
    ['1-2 2-3', [1, 2, 3]],
    ['8191', [8191]],
    ['', undefined],
  ])('"%s" is %j', (text, processors) => {
    expect(processorNumbers(addProcessors(undefined, text))).toEqual(processors)
  })
  test.each(['a', '-3', '0-', '0-1-2', '8192', '3-1', '1;2'])('"%s" is refused', (text) => {
    expect(() => addProcessors(undefined, text)).toThrow(/processor/)
  })
})

describe('user namespace modes', () => {
  test.each<[string | undefined, ReturnType<typeof parsePrivateUsers>]>([
    [undefined, { mode: 'owner' }],
    ['yes', { mode: 'owner' }],
    ['y', { mode: 'owner' }],
    ['no', { mode: 'no' }],
    ['off', { mode: 'no' }],
    ['pick', { mode: 'pick' }],
    ['identity', { mode: 'identity' }],
    ['0', { mode: 'range', base: 0, length: 65536 }],
    ['1', { mode: 'range', base: 1, length: 65536 }],
    ['65536:10', { mode: 'range', base: 65536, length: 10 }],
    ['0:4294967295', { mode: 'range', base: 0, length: 4294967295 }],
    ['4294967294:1', { mode: 'range', base: 4294967294, length: 1 }],
    ['4294901759', { mode: 'range', base: 4294901759, length: 65536 }],
  ])('%s is %j', (text, value) => {
    expect(parsePrivateUsers(text)).toEqual(value)
  })
  test.each([
    '',
    'maybe',
    '1:',
    ':1',
    '05',
    '0x5',
    '-1',
    ' 5',
    '5 ',
    '5:6:7',
    '5:x',
    '0:0',
    '65536:0',
    '65535',
    '65535:1',
    '4294967295',
    '4294967294:2',
    '4294901760',
    '99999999999',
    'managed',
  ])('"%s" is refused', (text) => {
    expect(() => parsePrivateUsers(text)).toThrow(NspawnError)
  })
})

describe('assignments', () => {
  const caller = { HERE: 'from the caller', EMPTY: '' }
  test.each<[string, string, string]>([
    ['A=b', 'A', 'b'],
    ['A=', 'A', ''],
    ['A=a=b', 'A', 'a=b'],
    ['A=two\nlines', 'A', 'two\nlines'],
    ['_1=x', '_1', 'x'],
    ['HERE', 'HERE', 'from the caller'],
    ['NOWHERE', 'NOWHERE', ''],
    ['toString', 'toString', ''],
  ])('%j sets %s to %j', (text, name, value) => {
    expect(parseAssignment(text, caller)).toEqual({ name, value })
  })
  test.each(['', '=b', '1A=b', 'A-B=c', 'a.b=c', 'A-B', 'Ä=1'])('"%s" is refused', (text) => {
    expect(() => parseAssignment(text, caller)).toThrow('cannot name an environment variable')
  })
})

describe('paths', () => {
  test.each([
    ['/', '/'],
    ['//a///b/', '/a/b'],
    ['/./a/.', '/a'],
    ['/a/../b', '/a/../b'],
  ])('%s is simplified to %s', (from, to) => {
    expect(simplifyPath(from)).toBe(to)
  })
  test('a relative path is taken against the directory, ".." stays for symlinks', () => {
    expect(absolutePath('../x//y', '/home/me')).toBe('/home/me/../x/y')
    expect(absolutePath('/x', '/home/me')).toBe('/x')
  })
  test.each(['', 'rel', '/a/../b', '/..', '/dev', '/dev/shm', '/proc/self', '/sys/', '//sys'])(
    'working directory "%s" is refused',
    (text) => {
      expect(() => parseWorkingDirectory(text)).toThrow('working directory')
    },
  )
  test.each(['/', '/system', '/a..b', '/devel/x'])('working directory %s is fine', (text) => {
    expect(parseWorkingDirectory(text)).toBe(text)
  })
})

describe('system call filters', () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ['@mount  open', ['@mount', 'open'], []],
    ['~@mount open', [], ['@mount', 'open']],
    ['~ open', [], ['open']],
    ['', [], []],
    ['~', [], []],
    ['no_such_call_yet', ['no_such_call_yet'], []],
  ])('"%s" allows %j and denies %j', (text, allow, deny) => {
    expect(parseSystemCallFilter(text)).toEqual({ allow, deny })
  })
  test.each(['mount,open', 'open ~mount', '@', '"open"'])('"%s" is refused', (text) => {
    expect(() => parseSystemCallFilter(text)).toThrow('is not the name of a system call')
  })
})

describe('slices', () => {
  test.each([
    ['a', 'a.slice'],
    ['a.slice', 'a.slice'],
    ['a-b', 'a-b.slice'],
    ['-', '-.slice'],
    ['a.b', 'a.b.slice'],
    ['a\\x20b', 'a\\x20b.slice'],
  ])('%s is %s', (text, name) => {
    expect(parseSlice(text)).toEqual({ name, escaped: false })
  })
  test.each([
    ['a b', 'a\\x20b.slice'],
    ['a/b.slice', 'a-b.slice'],
    ['é', '\\xc3\\xa9.slice'],
    ['a@*', 'a\\x40\\x2a.slice'],
  ])('%s is escaped: %s', (text, name) => {
    expect(parseSlice(text)).toEqual({ name, escaped: true })
  })
  test.each(['', '.slice', '-a', 'a-', 'a--b', '/a', 'a//b', 'a.service', 'a'.repeat(250)])(
    '"%s" is refused',
    (text) => {
      expect(() => parseSlice(text)).toThrow('cannot name a slice')
    },
  )
})
