import { group } from '../guest/group.ts'

export const units = group('units', () => {})
