import { group } from '../guest/group.ts'

export const networkd = group('networkd', () => {})
