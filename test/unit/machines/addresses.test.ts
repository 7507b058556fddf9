import { expect, test } from 'vitest'
import { globalIPv6, localIPv4 } from '../../../src/machines/addresses.ts'

test('addresses of version 4 are the local ones, each once, without loopback', () => {
  const table = [
    'Main:',
    '  +-- 0.0.0.0/0 3 0 5',
    '     +-- 127.0.0.0/8 2 0 2',
    '        |-- 127.0.0.1',
    '           /32 host LOCAL',
    '     +-- 192.0.2.0/24 2 0 2',
    '        |-- 192.0.2.0',
    '           /24 link UNICAST',
    '        |-- 192.0.2.2',
    '           /32 host LOCAL',
    '        |-- 192.0.2.255',
    '           /32 link BROADCAST',
    'Local:',
    '        |-- 192.0.2.2',
    '           /32 host LOCAL',
  ].join('\n')
  expect(localIPv4(table)).toEqual(['192.0.2.2'])
})

test('addresses of version 6 are written short, wide scope first; those not in use are left out', () => {
  const table = [
    'fe8000000000000000fc00fffe000001 04 40 20 80     eth0',
    'fd000000000000000000000000000002 04 40 00 82     eth0',
    '20010db8000000000001000000000001 04 40 00 80     eth0',
    '20010db8000000000000000000000005 04 40 00 20     eth0',
    '20010db8000000000000000000000006 04 40 00 40     eth0',
    '00000000000000000000000000000001 01 80 10 80       lo',
    '',
  ].join('\n')
  expect(globalIPv6(table)).toEqual(['fd00::2', '2001:db8::1:0:0:1', 'fe80::fc:ff:fe00:1'])
})
