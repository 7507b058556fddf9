import { group } from '../guest/group.ts'

export const booting = group('booting', () => {})
