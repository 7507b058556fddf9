import { group } from '../guest/group.ts'

export const limits = group('limits', () => {})
