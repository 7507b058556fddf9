/**
 * Types of partitions by which a system finds its own disks, for each architecture.
 *
 * @see Discoverable Partitions Specification (UAPI.2)
 */
import type { Architecture } from '../../recipe.ts'
import type { Guid } from './guid.ts'

/** What a partition holds, where it depends on the architecture. */
export type Designator = 'root' | 'usr' | 'root-verity' | 'usr-verity'

const types: Readonly<Record<Architecture, Readonly<Record<Designator, Guid>>>> = {
  'x86-64': {
    root: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709',
    usr: '8484680c-9521-48c6-9c11-b0720656f69e',
    'root-verity': '2c7357ed-ebd2-46d9-aec1-23d437ec2bf5',
    'usr-verity': '77ff5f63-e7b6-4633-acf4-1565b864c0e6',
  },
  x86: {
    root: '44479540-f297-41b2-9af7-d131d5f0458a',
    usr: '75250d76-8cc6-458e-bd66-bd47cc81a812',
    'root-verity': 'd13c5d3b-b5d1-422a-b29f-9454fdc89d76',
    'usr-verity': '8f461b0d-14ee-4e81-9aa9-049b6fb97abd',
  },
  arm64: {
    root: 'b921b045-1df0-41c3-af44-4c6f280d3fae',
    usr: 'b0e01050-ee5f-4390-949a-9101b17104e9',
    'root-verity': 'df3300ce-d69f-4c92-978c-9bfb0f38d820',
    'usr-verity': '6e11a4e7-fbca-4ded-b9e9-e1a512bb664e',
  },
  arm: {
    root: '69dad710-2ce4-4e3c-b16c-21a1d49abed3',
    usr: '7d0359a3-02b3-4f0a-865c-654403e70625',
    'root-verity': '7386cdf2-203c-47a9-a498-f2ecce45a2d6',
    'usr-verity': 'c215d751-7bcd-4649-be90-6627490a4c05',
  },
  riscv64: {
    root: '72ec70a6-cf74-40e6-bd49-4bda08e8f224',
    usr: 'beaec34b-8442-439b-a40b-984381ed097d',
    'root-verity': 'b6ed5582-440b-4209-b8da-5ff7c419ea3d',
    'usr-verity': '8f1056be-9b05-47c4-81d6-be53128e5b54',
  },
  'ppc64-le': {
    root: 'c31c45e6-3f39-412e-80fb-4809c4980599',
    usr: '15bb03af-77e7-4d4a-b12b-c0d084f7491c',
    'root-verity': '906bd944-4589-4aae-a4e4-dd983917446a',
    'usr-verity': 'ee2b9983-21e8-4153-86d9-b6901a54d1ce',
  },
  s390x: {
    root: '5eead9a9-fe09-4a1e-a1d7-520d00531306',
    usr: '8a4f5770-50aa-4ed3-874a-99b710db6fea',
    'root-verity': 'b325bfbe-c7be-4ab8-8357-139e652d2f6b',
    'usr-verity': '31741cc4-1a2a-4111-a581-e00b447d2d06',
  },
  loongarch64: {
    root: '77055800-792c-4f94-b39a-98c91b762bb6',
    usr: 'e611c702-575c-4cbe-9a46-434fa0bf7e3f',
    'root-verity': 'f3393b22-e9af-4613-a948-9d3bfbd0c535',
    'usr-verity': 'f46b2c26-59ae-48f0-9106-c50ed47f673d',
  },
}

export function partitionType(designator: Designator, architecture: Architecture): Guid {
  return types[architecture][designator]
}

/** Bits of a partition's attributes that count for these types. */
export const GROW_FILE_SYSTEM = 1n << 59n
export const READ_ONLY = 1n << 60n
export const NO_AUTO = 1n << 63n
