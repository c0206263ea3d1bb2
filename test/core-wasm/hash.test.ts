import { hashSuite } from './suites/hash.ts'

hashSuite()
